// How long an idle worker looks for work before it sleeps, measured on the machine that it runs on.
#pragma once

#include <cstdint>

namespace belay::detail {

inline constexpr std::int64_t shortest_spin_ns = 4'000;
inline constexpr std::int64_t longest_spin_ns = 100'000;

/// What it costs to sleep for an event and be woken by it, plus a quarter: a spin that long is never more than about twice as
/// expensive as the better choice in hindsight (Karlin, Manasse, McGeoch, Owicki 1990). Measured once in a process, in about
/// a millisecond, on the first call; 5 to 10 us on bare metal, 40 to 55 us where a wake-up is an interrupt to a halted
/// virtual CPU. Between the two limits above. Thread-safe.
std::int64_t calibrated_spin_ns() noexcept;

}  // namespace belay::detail
