// The one pipeline of all guardrails: count, throttle, write, panic. One per process.
#pragma once

#include <belay/observability/guardrails.hpp>
#include <belay/observability/impl/throttle.hpp>
#include <belay/observability/report.hpp>

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <source_location>

namespace belay::detail {

enum class stall_class : std::uint8_t { hog, blocked, starved };
inline constexpr std::size_t stall_class_count = 3;

/// Relaxed counters of one runtime, or of the process.
struct guardrail_counters {
    std::array<std::atomic<std::uint64_t>, guardrail_count> reports{};
    std::array<std::atomic<std::uint64_t>, stall_class_count> stalls{};
    std::atomic<std::uint64_t> suppressed{0};
    [[nodiscard]] guardrails::counts read() const noexcept;
};

class reporter {
public:
    reporter();

    /// Counts a firing, in `mine` and for the process, and says whether a report of it is to be written. Cheap when not:
    /// a report is only built after this.
    report_throttle::decision admit(guardrail kind, std::uint64_t key, guardrails::action then,
                                    guardrail_counters& mine) noexcept;
    /// One that was admitted is not written after all.
    void suppress(guardrail kind, std::uint64_t key, const report_throttle::decision& admitted,
                  guardrail_counters& mine) noexcept;
    void count_stall(stall_class found, guardrail_counters& mine) noexcept;
    /// Writes it. Does not return if its action is panic.
    void publish(const report& what) noexcept;
    /// For want of memory: one line on standard error, whatever the sink is. Does not return if the action is panic.
    void publish_briefly(guardrail kind, guardrails::action then, std::source_location where) noexcept;

    std::shared_ptr<guardrails::report_sink> exchange_sink(std::shared_ptr<guardrails::report_sink> sink);
    std::shared_ptr<guardrails::report_sink> exchange_callback(std::shared_ptr<guardrails::report_sink> callback);
    [[nodiscard]] guardrails::counts counts() const noexcept { return all_.read(); }
    [[nodiscard]] std::mutex& lock() noexcept { return mutex_; }  // for fork()

private:
    std::shared_ptr<guardrails::report_sink> sink_for(guardrails::action then) noexcept;

    guardrail_counters all_;
    std::mutex mutex_;  // held for a few instructions, never while a sink writes
    report_throttle throttle_;
    std::shared_ptr<guardrails::report_sink> sink_;
    std::shared_ptr<guardrails::report_sink> callback_;
};

/// One write(2) to standard error per report.
std::shared_ptr<guardrails::report_sink> make_standard_error_sink();

/// Never destroyed: a report may come from a thread that outlives main().
reporter& process_reporter() noexcept;

}  // namespace belay::detail
