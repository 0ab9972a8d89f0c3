// How many CPUs this process may use, and how long an idle worker looks for work before it sleeps.
#pragma once

#include <cstdint>

namespace belay::detail {

/// The minimum of the affinity mask and the cgroup's CPU quota (v2 and v1), at least 1.
unsigned allowed_cpus() noexcept;

/// As long as a park and its wake-up cost on a virtual machine, where a wake-up is an interrupt to a halted CPU: 29 to 46 us
/// measured. Spinning for less than the peer's turnaround is pure loss, which the adaptive budget then switches off.
inline constexpr std::int64_t default_spin_ns = 50'000;

}  // namespace belay::detail
