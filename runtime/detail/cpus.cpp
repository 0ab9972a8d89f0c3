#include <belay/runtime/detail/cpus.hpp>

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <string>
#include <thread>

namespace belay::detail {
namespace {

unsigned affinity() noexcept {
    cpu_set_t set;
    CPU_ZERO(&set);
    if (::sched_getaffinity(0, sizeof set, &set) == 0) return static_cast<unsigned>(std::max(1, CPU_COUNT(&set)));
    return std::max(1U, std::thread::hardware_concurrency());
}

/// CPUs' worth of quota, or 0 when there is no limit.
double cgroup_quota() {
    std::string quota;
    double period = 0;
    std::string line;
    std::ifstream self("/proc/self/cgroup");
    while (std::getline(self, line)) {
        if (!line.starts_with("0::")) continue;
        // v2: the tightest limit on the way up to the root counts.
        double tightest = 0;
        for (std::string path = line.substr(3);; path.erase(path.rfind('/'))) {
            std::ifstream max("/sys/fs/cgroup" + path + "/cpu.max");
            if (max >> quota >> period && quota != "max" && period > 0) {
                double cpus = std::stod(quota) / period;
                tightest = tightest == 0 ? cpus : std::min(tightest, cpus);
            }
            if (path.empty() || path.rfind('/') == std::string::npos) return tightest;
        }
    }
    std::ifstream v1_quota("/sys/fs/cgroup/cpu/cpu.cfs_quota_us");
    std::ifstream v1_period("/sys/fs/cgroup/cpu/cpu.cfs_period_us");
    double us = 0;
    if (v1_quota >> us && v1_period >> period && us > 0 && period > 0) return us / period;
    return 0;
}

}  // namespace

unsigned allowed_cpus() noexcept {
    unsigned cpus = affinity();
    try {
        double quota = cgroup_quota();
        if (quota > 0) cpus = std::min(cpus, static_cast<unsigned>(std::max(1.0, std::ceil(quota))));
    } catch (...) {
        // an unreadable cgroup file: affinity alone decides
    }
    return cpus;
}

}  // namespace belay::detail
