// The tasks of a runtime as text, for a thread on which none of them can run meanwhile.
#pragma once

#include <source_location>
#include <string>

namespace belay::detail {

class runtime_core;

/// In the library's own sources: not what a user wants to know of a task.
bool is_own_code(std::source_location at) noexcept;

/// One line for each, those that others wait for below them:
///     task 3 "reader", spawned at main.cpp:12, waits on channel.recv at main.cpp:31
/// Throws std::bad_alloc.
std::string list_tasks(const runtime_core& core);

}  // namespace belay::detail
