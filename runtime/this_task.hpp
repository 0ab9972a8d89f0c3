// What a running task can ask about itself. Outside a task every function gives the empty answer.
#pragma once

#include <belay/runtime/stop.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

namespace belay::this_task {

/// Unique in the runtime; the branches of a when_all, timeout or with_scope share that of the task that they belong to.
std::uint64_t id() noexcept;
/// Empty when it has none.
std::string_view name() noexcept;
/// True once the task's scope was stopped: the next suspension will not return. For loops that do not suspend.
bool stop_requested() noexcept;
/// Why, or stop_reason::none.
belay::stop_reason stop_reason() noexcept;
/// The earliest deadline of all enclosing scopes and timeouts.
std::optional<std::chrono::steady_clock::time_point> deadline() noexcept;

}  // namespace belay::this_task
