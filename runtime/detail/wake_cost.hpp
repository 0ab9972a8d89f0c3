// How long an idle worker looks for work before it sleeps, measured on the machine that it runs on.
#pragma once

#include <cstdint>

namespace belay::detail {

inline constexpr std::int64_t shortest_spin_ns = 4'000;
inline constexpr std::int64_t longest_spin_ns = 100'000;

/// Twice what it costs to sleep for an event and be woken by it. Once would be the classic choice, never more than twice as expensive
/// as the better one in hindsight (Karlin, Manasse, McGeoch, Owicki 1990); but the peer whose answer is awaited has to be woken
/// too, and an answer that comes just after the spin costs both. Measured once in a process, in about a millisecond, on the first
/// call: a sleep costs some us on bare metal, 40 to 50 us where a wake-up is an interrupt to a halted virtual CPU. Between the two
/// limits above. Thread-safe.
std::int64_t calibrated_spin_ns() noexcept;

}  // namespace belay::detail
