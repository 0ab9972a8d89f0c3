// What the guardrails cost is measured against a library without them (bench/gate), which nobody else builds.
#pragma once

namespace belay::detail {

/// False: what the guardrails leave in every poll, await and handle is compiled out. Layouts are the same, but the two must not meet
/// in one program.
#ifdef BELAY_BARE
inline constexpr bool guarded = false;
#else
inline constexpr bool guarded = true;
#endif

}  // namespace belay::detail
