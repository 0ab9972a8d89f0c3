// Which threads are inside a guardrails::allow scope, readable by the watchdog without the thread's help.
#pragma once

namespace belay::detail {

/// True while the thread with this kernel id holds a guardrails::allow.
bool thread_is_allowed(int tid) noexcept;

}  // namespace belay::detail
