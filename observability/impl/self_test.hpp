// The line with which a process says what its guardrails can do.
#pragma once

namespace belay::detail {

/// Writes guardrails::self_test() to standard error, at the first call in the process, if BELAY_GUARDRAILS is set. May throw
/// std::bad_alloc; the next call tries again.
void announce_once();

}  // namespace belay::detail
