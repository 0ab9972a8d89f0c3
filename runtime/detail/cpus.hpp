// How many CPUs this process may use, and which.
#pragma once

#include <filesystem>
#include <span>
#include <vector>

namespace belay::detail {

/// The minimum of the affinity mask and the cgroup's CPU quota (v2 and v1), at least 1. A part of a CPU counts as a whole one.
unsigned allowed_cpus() noexcept;

/// The numbers of the CPUs in the calling thread's affinity mask, ascending. Empty when the system does not tell.
std::vector<unsigned> allowed_cpu_numbers();

/// Binds the calling thread to these CPUs. 0, or an errno.
int run_on(std::span<const unsigned> cpus) noexcept;

/// CPUs' worth of quota for the cgroup of a process, the tightest on the way up to the root; 0 when there is no limit. `membership`
/// is its /proc/<pid>/cgroup, `mounts` is where the cgroup file systems are (/sys/fs/cgroup). Knows v2, v1, and systems that mount
/// both and have the CPU controller in either.
double cgroup_cpu_quota(const std::filesystem::path& membership, const std::filesystem::path& mounts);

}  // namespace belay::detail
