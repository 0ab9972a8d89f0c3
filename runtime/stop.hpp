// What a stop is: why a task was asked to stop, and what a stop turns into where it may not pass.
//
// A stop is not an exception inside a task: frames are destroyed leaf to root by RAII and `catch (...)` never sees
// it. The exceptions below exist only at the boundaries where a stop has to become a value of the caller's world.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string_view>

namespace belay {

/// Why a scope was stopped. The first reason wins; later requests change nothing.
enum class stop_reason : std::uint8_t {
    none,            ///< not stopped
    requested,       ///< somebody called request_stop()
    deadline,        ///< the scope's own deadline, or that of a timeout, passed
    sibling_failed,  ///< another child of the scope failed
    parent,          ///< an enclosing scope was stopped
    shutdown,        ///< the runtime shuts down
    cleanup_overrun  ///< a shielded cleanup outlived its grace
};

/// The name of a reason as it stands in reports and metrics ("deadline", "sibling_failed", ...).
constexpr std::string_view to_string(stop_reason reason) noexcept {
    switch (reason) {
    case stop_reason::none: return "none";
    case stop_reason::requested: return "requested";
    case stop_reason::deadline: return "deadline";
    case stop_reason::sibling_failed: return "sibling_failed";
    case stop_reason::parent: return "parent";
    case stop_reason::shutdown: return "shutdown";
    case stop_reason::cleanup_overrun: return "cleanup_overrun";
    }
    return "unknown";
}

/// A value was asked of something that was stopped: `block_on`, `join`, a `with_scope` that returns a value, `stopped_as_error`.
class task_stopped : public std::runtime_error {
public:
    explicit task_stopped(stop_reason reason = stop_reason::requested)
        : std::runtime_error("belay: the task was stopped before it produced a value"), reason_{reason} {}
    /// Why it was stopped.
    [[nodiscard]] stop_reason reason() const noexcept { return reason_; }

private:
    stop_reason reason_;
};

/// A `timeout` or a scope's own deadline passed before the work ended.
class deadline_exceeded : public std::runtime_error {
public:
    deadline_exceeded() : std::runtime_error("belay: the deadline passed before the work ended") {}
};

/// `spawn` into a scope that already holds `max_tasks` tasks.
class scope_full : public std::runtime_error {
public:
    scope_full()
        : std::runtime_error(
              "belay: the scope already holds max_tasks tasks; "
              "write co_await scope.spawn_when_free(...) to wait for room, or try_spawn(...) to be told") {}
};

/// `spawn` into a scope whose last child has ended, or into a runtime that shut down.
class scope_closed : public std::runtime_error {
public:
    scope_closed() : std::runtime_error("belay: the scope is closed: it has been joined or its runtime has shut down") {}
};

}  // namespace belay
