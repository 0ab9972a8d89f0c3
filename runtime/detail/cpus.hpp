// How many CPUs this process may use.
#pragma once

namespace belay::detail {

/// The minimum of the affinity mask and the cgroup's CPU quota (v2 and v1), at least 1.
unsigned allowed_cpus() noexcept;

}  // namespace belay::detail
