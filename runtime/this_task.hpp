// What a running task can ask about itself. Outside a task every function gives the empty answer.
#pragma once

#include <belay/runtime/stop.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <stop_token>
#include <string_view>

namespace belay::this_task {

/// Unique in the runtime; the branches of a when_all, timeout or with_scope share that of the task that they belong to.
std::uint64_t id() noexcept;
/// Empty when it has none.
std::string_view name() noexcept;
/// The number of the worker that runs it right now, below runtime.workers(): another one after the next suspension, unless it was
/// spawned by spawn_on(). Empty on a thread that stands in for a worker inside block_in_place(), where pinned tasks never are. For
/// state that is divided by worker.
std::optional<std::size_t> worker() noexcept;

/// A string literal, or another constant of static storage: names are kept as pointers, so that they cost a task nothing.
struct static_name {
    consteval static_name(const char* literal) noexcept : text{literal} {}  // NOLINT: set_name("session") is the point
    const char* text;
};
/// Names the task for dumps, reports and join_handle::name(). First thing in a task: the branches and scopes that it opens go
/// by the name that it has then, and a name that is set inside one of them is that branch's alone. Does nothing outside.
void set_name(static_name name) noexcept;

/// True once the task, or its scope, was stopped: the next suspension will not return. For loops that do not suspend.
bool stop_requested() noexcept;
/// Why, or stop_reason::none.
belay::stop_reason stop_reason() noexcept;
/// A token that is stopped when the task, or its scope, is: for blocking functions, std::condition_variable_any and whatever
/// else takes one. Callbacks on it run on the thread that requests the stop (for a deadline a worker's, or the runtime's watchdog's:
/// they must not block), after the stop has been delivered to all tasks, under no lock of belay's; one that waits for a task of
/// the stopped scope may wait for ever, and one that is a local variable of the task may be gone before its turn, because the task
/// unwinds. The token may outlive the task; if that ended before it was asked to stop, the token is stopped no more. Inside a shield
/// it is stopped when the shield's grace is over. The same token for every call in a task; the first call allocates, throws
/// std::bad_alloc. O(1). Outside a task: a token that is never stopped.
std::stop_token stop_token();
/// The earliest deadline of all enclosing scopes and timeouts.
std::optional<std::chrono::steady_clock::time_point> deadline() noexcept;

}  // namespace belay::this_task
