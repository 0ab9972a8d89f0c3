// A function that fails at one of its awaits, for tests: what is suspended is destroyed, and whoever awaits it gets an exception.
#pragma once

#include <belay/runtime/detail/record.hpp>

#include <exception>

namespace belay::detail {

/// The function in which a task waits, whose operation has just ended as stopped, and which has not been resumed: its frame is destroyed, as if an
/// exception had come out of its await and it had not caught it. True: the frame that awaits it is next, and gets `error`. False: it was the
/// root, which has ended with it; the record may be gone. Only when can_fail(). On the worker that would run the task.
bool fail_leaf(record& rec, const std::exception_ptr& error);
/// The function is a task<T>'s, and no generator.
bool can_fail(const record& rec) noexcept;

}  // namespace belay::detail
