#include <belay/runtime/detail/cpus.hpp>

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

namespace belay::detail {
namespace {

/// 0 means that there is no limit.
double tighter(double a, double b) noexcept {
    if (a <= 0 || b <= 0) return std::max({a, b, 0.0});
    return std::min(a, b);
}

double v2_quota(const std::string& group) {
    std::ifstream file(group + "/cpu.max");
    double quota = 0;  // "max" is no number: no limit
    double period = 0;
    return file >> quota >> period && quota > 0 && period > 0 ? quota / period : 0;
}

double v1_quota(const std::string& group) {
    std::ifstream quota_file(group + "/cpu.cfs_quota_us");
    std::ifstream period_file(group + "/cpu.cfs_period_us");
    double quota = 0;  // -1: no limit
    double period = 0;
    return quota_file >> quota && period_file >> period && quota > 0 && period > 0 ? quota / period : 0;
}

/// Of the group and of those that it is in. In a container its path may be that of the host, which is not mounted; the root is.
template <class Read>
double tightest_quota(const std::string& mount, std::string path, Read read) {
    double tightest = 0;
    for (;;) {
        tightest = tighter(tightest, read(mount + path));
        auto slash = path.rfind('/');
        if (slash == std::string::npos) return tightest;
        path.erase(slash);
    }
}

/// Whether the controller is in a comma-separated list such as "cpu,cpuacct".
bool lists_cpu(std::string_view controllers) noexcept {
    while (!controllers.empty()) {
        auto comma = controllers.find(',');
        if (controllers.substr(0, comma) == "cpu") return true;
        controllers = comma == std::string_view::npos ? std::string_view{} : controllers.substr(comma + 1);
    }
    return false;
}

}  // namespace

std::vector<unsigned> allowed_cpu_numbers() {
    // The kernel refuses a mask that is smaller than its own, which has room for all CPUs that could be plugged in.
    for (int room = 1024; room <= 1 << 20; room *= 4) {
        std::unique_ptr<cpu_set_t, void (*)(cpu_set_t*)> set{CPU_ALLOC(static_cast<std::size_t>(room)),
                                                             [](cpu_set_t* s) { CPU_FREE(s); }};
        if (set == nullptr) break;
        std::size_t bytes = CPU_ALLOC_SIZE(static_cast<std::size_t>(room));
        CPU_ZERO_S(bytes, set.get());
        if (::sched_getaffinity(0, bytes, set.get()) != 0) {
            if (errno == EINVAL) continue;
            break;
        }
        std::vector<unsigned> numbers;
        for (unsigned cpu = 0; cpu < static_cast<unsigned>(room); ++cpu)
            if (CPU_ISSET_S(cpu, bytes, set.get())) numbers.push_back(cpu);
        return numbers;
    }
    return {};
}

int run_on(std::span<const unsigned> cpus) noexcept {
    unsigned room = *std::ranges::max_element(cpus) + 1;
    std::unique_ptr<cpu_set_t, void (*)(cpu_set_t*)> set{CPU_ALLOC(room), [](cpu_set_t* s) { CPU_FREE(s); }};
    if (set == nullptr) return ENOMEM;
    std::size_t bytes = CPU_ALLOC_SIZE(room);
    CPU_ZERO_S(bytes, set.get());
    for (unsigned cpu : cpus) CPU_SET_S(cpu, bytes, set.get());
    return ::pthread_setaffinity_np(::pthread_self(), bytes, set.get());
}

double cgroup_cpu_quota(const std::filesystem::path& membership, const std::filesystem::path& mounts) {
    double tightest = 0;
    std::ifstream groups(membership);
    // "<hierarchy>:<controllers>:<path>"; of v2 "0::<path>".
    for (std::string line; std::getline(groups, line);) {
        auto first = line.find(':');
        auto second = first == std::string::npos ? first : line.find(':', first + 1);
        if (second == std::string::npos) continue;
        std::string controllers = line.substr(first + 1, second - first - 1);
        std::string path = line.substr(second + 1);
        if (path == "/") path.clear();
        if (controllers.empty()) {
            tightest = tighter(tightest, tightest_quota(mounts.string(), path, v2_quota));
        } else if (lists_cpu(controllers)) {
            tightest = tighter(tightest, tightest_quota((mounts / "cpu").string(), path, v1_quota));
        }
    }
    return tightest;
}

unsigned allowed_cpus() noexcept {
    unsigned cpus = std::max(1U, std::thread::hardware_concurrency());
    try {
        if (auto numbers = allowed_cpu_numbers(); !numbers.empty()) cpus = static_cast<unsigned>(numbers.size());
        double quota = cgroup_cpu_quota("/proc/self/cgroup", "/sys/fs/cgroup");
        if (quota > 0 && quota < cpus) cpus = std::max(1U, static_cast<unsigned>(std::ceil(quota)));
    } catch (...) {
        // no memory, or a cgroup file that cannot be read: what is known decides
    }
    return cpus;
}

}  // namespace belay::detail
