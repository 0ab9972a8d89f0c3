// When the watchdog searches for deadlocks, and what it has told of.
#pragma once

#include <belay/runtime/detail/core.hpp>
#include <belay/runtime/detail/deadline.hpp>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace belay::detail {

/// The watchdog's own: one thread.
///
/// Tasks that are stuck stay so: there is no hurry, and a search stops the whole runtime for a moment, a few hundred nanoseconds a
/// task. While nothing runs it gives way to whatever comes.
class deadlock_watch {
public:
    explicit deadlock_watch(runtime_core& core) noexcept;

    [[nodiscard]] bool on() const noexcept { return period_ns_ > 0; }
    [[nodiscard]] std::int64_t period() const noexcept { return period_ns_; }
    /// All workers have gone to sleep. Whatever ran before may have left something new.
    void begin_idle(std::int64_t now) noexcept;
    /// Until when a runtime that goes on sleeping need not be looked at.
    [[nodiscard]] std::int64_t idle_due() const noexcept { return on() ? idle_due_ns_ : no_deadline; }
    void look_idle(std::int64_t now) noexcept;
    /// While tasks run: searches if it is time, and if there are not too many tasks to hold them all up.
    void look_busy(std::int64_t now) noexcept;

private:
    bool search(std::size_t most_tasks, bool give_way) noexcept;

    runtime_core& core_;
    const std::int64_t period_ns_;
    const std::int64_t patience_ns_;
    std::int64_t idle_wait_ns_ = 0;
    std::int64_t idle_due_ns_ = no_deadline;
    std::int64_t busy_wait_ns_;
    std::int64_t busy_due_ns_ = no_deadline;
    std::vector<std::uint64_t> told_;  // sorted ids of those that were stuck the last time
};

}  // namespace belay::detail
