// What a shield waits on: one branch that a stop from above does not reach at once. From the stop on it has its grace.
#pragma once

#include <belay/runtime/detail/branches.hpp>
#include <belay/runtime/detail/spin_lock.hpp>
#include <belay/runtime/detail/timer_entry.hpp>

#include <coroutine>
#include <cstdint>
#include <exception>
#include <mutex>
#include <utility>

namespace belay::detail {

/// How the grace of nested shields becomes the minimum: each shield knows the nearest one around it and is listed there. When
/// the outer grace begins, or is cut, the inner ones begin at the latest and end at the latest with it; so no stop need pass
/// through a shield whose grace runs. Locks are taken from the outside in, then that of a timer wheel.
class shield_group : public branch_group {
public:
    [[nodiscard]] const char* what() const noexcept override { return "shield"; }

protected:
    /// When the grace begins: with a stop from outside, or with the work.
    enum class grace_starts : std::uint8_t { with_the_stop, at_once };
    /// What becomes of work that was stopped: it stops its awaiter too, or is the awaiter's to judge.
    enum class stop_is : std::uint8_t { passed_on, kept };

    shield_group(std::int64_t grace_ns, grace_starts when, stop_is then) noexcept
        : grace_ns_{grace_ns}, when_{when}, then_{then} {}
    ~shield_group();

    /// Between the making of the branch and its first run: publishes and, where there is a stop already, starts the grace.
    void suspend_parent(record& parent) noexcept;
    void open_shield(record& parent) noexcept;
    [[nodiscard]] bool grace_runs() noexcept {
        std::scoped_lock guard(lock_);
        return grace_runs_;
    }
    record* branch_done(record& branch, std::size_t index, outcome how, const std::exception_ptr* error) noexcept final;

private:
    void stop_from_above(stop_walk& walk) noexcept final;
    void start_grace(std::int64_t limit_ns) noexcept;
    void arm(runtime_core& core) noexcept;
    void report_overrun() noexcept;
    record* leave(std::size_t units) noexcept;

    class grace_timer final : public timer_entry {
    public:
        explicit grace_timer(shield_group& shield) noexcept : shield_{shield} { is_grace = true; }
        void fire() noexcept override;

    private:
        shield_group& shield_;
    };

    const std::int64_t grace_ns_;
    const grace_starts when_;
    const stop_is then_;
    bool branch_stopped_ = false;  // ordered by pending_
    spin_lock lock_;
    bool grace_runs_ = false;  // guarded by lock_, as are the next five
    std::int64_t began_ns_ = 0;  // the grace
    bool armed_ = false;
    bool over_ = false;
    std::int64_t expiry_ns_ = no_deadline;
    shield_group* inner_ = nullptr;
    shield_group* outer_ = nullptr;
    shield_group* next_ = nullptr;  // guarded by the outer one's lock_, as is the next
    shield_group* prev_ = nullptr;
    grace_timer timer_{*this};
};

/// `co_await shielded(work, grace)`; the outcome is taken with take() afterwards.
template <class T>
class [[nodiscard]] shielded final : public shield_group, public native_awaitable {
public:
    /// shield(): from a stop on the work has `grace`; stopped, it stops the awaiter.
    static shielded work_of_its_own(std::int64_t grace_ns, task<T>&& work) noexcept {
        return shielded{grace_ns, grace_starts::with_the_stop, stop_is::passed_on, std::move(work)};
    }
    /// finally(): it has `grace` in any case; how it ended is looked at.
    static shielded cleanup(std::int64_t grace_ns, task<T>&& work) noexcept {
        return shielded{grace_ns, grace_starts::at_once, stop_is::kept, std::move(work)};
    }

    static bool await_ready() noexcept { return false; }
    template <task_promise P>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<P> awaiting) noexcept {
        record& parent = *awaiting.promise().rec;
        open_shield(parent);
        branch_.make(parent, *this, awaiting.promise().site);
        pending_.store(1, std::memory_order_relaxed);  // published with the branch
        suspend_parent(parent);
        return continue_in(branch_.template get<0>());
    }
    static void await_resume() noexcept {}
    void waits_for(wait_sources& out) override {
        grace_runs() ? out.outside() : branch_.template get<0>().list_in(out);  // the grace ends it
    }

    [[nodiscard]] outcome ended() noexcept { return branch_.template get<0>().ended; }
    [[nodiscard]] const std::exception_ptr& error() noexcept { return branch_.template get<0>().result.error(); }
    T take() { return branch_.template get<0>().result.take(); }

private:
    shielded(std::int64_t grace_ns, grace_starts when, stop_is then, task<T>&& work) noexcept
        : shield_group{grace_ns, when, then}, branch_{std::move(work)} {}
    void add_children(stop_walk& walk) noexcept override { walk.add(branch_.template get<0>()); }
    branch_set<T> branch_;
};

}  // namespace belay::detail
