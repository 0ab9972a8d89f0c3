// Finds belay::guard in this process and tells it what belay knows.
#pragma once

#include <belay/observability/guardrails.hpp>

namespace belay::detail {

/// Attaches it at the first call. False: it is not in this process, or of another version.
bool guard_is_attached() noexcept;
/// Once per runtime. The first one attaches the guard, if it is there; each may lower what counts as a long call.
void attach_guard(const guardrails::policy& policy) noexcept;

}  // namespace belay::detail
