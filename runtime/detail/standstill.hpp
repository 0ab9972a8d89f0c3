// No task runs: what a look at all of them at once needs.
#pragma once

#include <belay/runtime/detail/core.hpp>

#include <cstdint>

namespace belay::detail {

/// While one exists no worker of the runtime runs a task: frames and operations keep still. Workers wait between two polls; those
/// that sleep are not woken. What is completed meanwhile is queued, and other threads go on: they stop tasks, send messages, spawn.
/// One at a time; made by the watchdog.
///
/// There is no fence in a poll. A worker marks its epoch odd and then reads runtime_core::halted, we set `halted` and then read the
/// epochs; membarrier(2) between the two makes every thread of the process pass a full barrier. Either the worker sees that it is to
/// wait, or we see that it polls.
class standstill {
public:
    /// Waits up to `patience_ns` for polls to end. Blocking in place is a poll that may last: then it fails at once.
    standstill(runtime_core& core, std::int64_t patience_ns) noexcept;
    standstill(const standstill&) = delete;
    standstill& operator=(const standstill&) = delete;
    ~standstill();
    /// False: somebody polls, or the kernel has no membarrier for us.
    [[nodiscard]] explicit operator bool() const noexcept { return reached_; }
    /// A worker is awake, and waits for its end or will, or somebody has queued a task.
    [[nodiscard]] bool is_in_the_way() const noexcept;
    /// The kernel offers what it needs. Any thread; a system call at the first call.
    [[nodiscard]] static bool possible() noexcept;

private:
    bool wait_for_polls(std::int64_t patience_ns) noexcept;
    runtime_core& core_;
    bool reached_ = false;
};

}  // namespace belay::detail
