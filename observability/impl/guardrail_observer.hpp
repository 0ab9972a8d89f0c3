// What belay does with what a runtime notices: turns the events of runtime/observer.hpp into reports.
#pragma once

#include <belay/observability/guardrails.hpp>
#include <belay/observability/impl/reporter.hpp>
#include <belay/observability/impl/stall_watch.hpp>
#include <belay/runtime/observer.hpp>

#include <cstdint>
#include <memory>
#include <mutex>
#include <source_location>
#include <string>

namespace belay::detail {

class guardrail_observer final : public observer {
public:
    guardrail_observer(std::string runtime, const guardrails::policy& policy);
    guardrail_observer(const guardrail_observer&) = delete;
    guardrail_observer& operator=(const guardrail_observer&) = delete;
    ~guardrail_observer() override;

    void worker_began() noexcept override;
    void worker_ended() noexcept override;
    void worker_suspected(unsigned worker, int tid, std::uint64_t pthread) noexcept override;
    void worker_stalled(const worker_stall& stall) noexcept override;
    void guard_across_suspension(const task_snapshot& task, std::span<const held_lock> locks) noexcept override;
    void order_inverted(const order_inversion& found) noexcept override;
    void tasks_leaked(std::string_view runtime, std::string_view where, std::span<const task_snapshot> tasks,
                      std::size_t total) noexcept override;
    void error_lost(std::string_view scope, std::source_location spawned, std::exception_ptr error) noexcept override;
    void hook_failed(std::string_view hook, unsigned worker, std::exception_ptr error) noexcept override;
    void deadlocked(const deadlock& found) noexcept override;
    void pool_saturated(const saturated_pool& pool) noexcept override;
    void fanned_out(std::string_view scope, std::size_t tasks, std::source_location spawned) noexcept override;
    void cleanup_overran(const task_snapshot& task, std::chrono::nanoseconds grace,
                         std::chrono::nanoseconds had) noexcept override;
    void stop_ignored(const ignored_stop& stop) noexcept override;
    void blocking_called(const task_snapshot& task, const blocking_call& call) noexcept override;
    void never_awaited(std::source_location made, std::span<const std::source_location> given = {}) noexcept override;
    void starved(const starvation& found) noexcept override;
    void captures_borrowed(std::source_location made, std::source_location spawned) noexcept override;
    void process_aborts() noexcept override;
    [[nodiscard]] std::chrono::nanoseconds stall_threshold() const noexcept override;
    [[nodiscard]] std::chrono::nanoseconds stop_limit() const noexcept override;
    [[nodiscard]] std::chrono::nanoseconds pool_wait_limit() const noexcept override;
    [[nodiscard]] std::chrono::nanoseconds starvation_limit() const noexcept override;
    [[nodiscard]] std::chrono::nanoseconds deadlock_period() const noexcept override;

    void set_policy(const guardrails::policy& policy) noexcept;
    /// What this runtime's guardrails found.
    [[nodiscard]] guardrails::counts counts() const noexcept { return about_->counters.read(); }

    [[nodiscard]] std::mutex& lock() const noexcept { return mutex_; }  // of the policy; for fork()

private:
    guardrails::rule rule_of(guardrail kind) const noexcept;
    /// Zero if it is off.
    [[nodiscard]] std::chrono::nanoseconds threshold_of(guardrail kind) const noexcept;
    /// What a report that is still to be written needs of this, which may be gone by then.
    struct about {
        const std::string runtime;
        guardrail_counters counters;
    };
    struct finding {
        guardrail kind;
        std::uint64_t key;
        std::source_location where;
        guardrails::action then;
        report_throttle::decision admitted;
    };
    finding count(guardrail kind, std::uint64_t key, std::source_location where) noexcept;
    template <class Describe>
    static void write(about& of, const finding& found, Describe&& describe) noexcept;
    static void publish(about& of, const finding& found, report r);
    template <class Describe>
    void raise(guardrail kind, std::uint64_t key, std::source_location where, Describe&& describe) noexcept;
    template <class Keep>
    void raise_there(guardrail kind, std::uint64_t key, std::source_location where, Keep&& keep) noexcept;

    const std::shared_ptr<about> about_;
    const bool dispatches_;     // its workers' system calls come to us; settled when the runtime is made
    mutable std::mutex mutex_;  // the policy; held for a copy only
    guardrails::policy policy_;
    stall_watch stalls_;        // the watchdog's alone
};

}  // namespace belay::detail
