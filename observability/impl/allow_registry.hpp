// Which threads are inside a guardrails::allow scope, readable by the watchdog without the thread's help.
#pragma once

#include <cstdint>

namespace belay::detail {

/// Until when the thread with this kernel id was inside a guardrails::allow, in nanoseconds of the steady clock; the largest
/// number while it is inside one, 0 when it never was.
std::int64_t thread_allowed_until(int tid) noexcept;
/// True while the calling thread is inside one.
bool this_thread_is_allowed() noexcept;

}  // namespace belay::detail
