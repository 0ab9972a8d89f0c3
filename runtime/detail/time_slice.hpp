#pragma once

#include <cstdint>

namespace belay::detail {

/// How long the kernel lets the calling thread run before it looks at others, in nanoseconds; 0: its default. New threads inherit it.
/// Needs no privilege. Where the kernel does not know it (before Linux 6.12) nothing happens, nor to threads of another class than the
/// ordinary one (idle, batch, real-time): they keep what their process was given.
void set_time_slice(std::uint64_t ns) noexcept;

}  // namespace belay::detail
