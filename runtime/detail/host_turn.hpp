// The time that a thread of the host spends as the worker of a local_runtime.
#pragma once

#include <belay/runtime/detail/held_guards.hpp>

#include <cstddef>
#include <cstdint>

namespace belay::detail {

class record;
class runtime_core;
class worker;

/// What drives the runtime, for the names of misuses.
enum class host_call : std::uint8_t { poll, run_until, run_for, shutdown };

/// From construction to destruction the calling thread is the only worker of `core`. Outside of it the worker is in the idle set
/// and its port prepared to wait: whoever makes work ready makes the port's handle readable.
class host_turn {
public:
    /// Names a misuse: the runtime is driven already, by a task of its own or by another thread; this is a forked child; the
    /// call can wait, and this thread is a worker of another runtime.
    host_turn(runtime_core& core, host_call call) noexcept;
    host_turn(const host_turn&) = delete;
    host_turn& operator=(const host_turn&) = delete;
    ~host_turn();

    /// Runs tasks, and sleeps when there are none, until one of them has set `done`.
    void run_until(const bool& done) noexcept;
    /// The same until the steady clock reaches the time.
    void run_until(std::int64_t time_ns) noexcept;
    /// Runs what is ready, within limits. Never sleeps. Returns the number of polls.
    std::size_t run_ready(std::size_t max_polls, std::int64_t max_time_ns) noexcept;
    /// Ends the turn before the destructor does. True if there is work left that the host has to come back for at once.
    bool end() noexcept;
    /// The last turn: until `done` says so or the time has come, and at most for as long after it as something is ready. False
    /// when `done` did not come to hold. No task runs ever after.
    bool run_out(std::int64_t deadline_ns, bool (*done)(runtime_core&)) noexcept;

private:
    void become_worker() noexcept;
    void run(record& rec) noexcept;

    runtime_core& core_;
    worker& worker_;
    worker* outer_ = nullptr;  // a worker of another runtime whose task polls this one
    guards_aside outer_guards_;  // what the caller holds is no task's
    bool ended_ = false;
    bool last_ = false;  // nobody will drive it again
};

}  // namespace belay::detail
