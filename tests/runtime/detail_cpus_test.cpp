// How many CPUs the process may use: affinity, and the quota of the cgroup that it is in, from trees of files as they are found on
// machines and in containers.
#include <belay/runtime/detail/cpus.hpp>

#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

namespace belay::detail {
namespace {

namespace fs = std::filesystem;

/// A /proc/self/cgroup and a /sys/fs/cgroup, removed at the end.
class fake_system {
public:
    explicit fake_system(const std::string& membership) {
        std::string pattern = fs::temp_directory_path() / "belay-cpus-XXXXXX";
        if (::mkdtemp(pattern.data()) != nullptr) root_ = pattern;
        std::ofstream(root_ / "membership") << membership;
        fs::create_directories(root_ / "mounts");
    }
    fake_system(const fake_system&) = delete;
    fake_system& operator=(const fake_system&) = delete;
    ~fake_system() { fs::remove_all(root_); }

    fake_system& with(const std::string& path, const std::string& text) {
        auto file = root_ / "mounts" / path;
        fs::create_directories(file.parent_path());
        std::ofstream(file) << text;
        return *this;
    }
    [[nodiscard]] double quota() const { return cgroup_cpu_quota(root_ / "membership", root_ / "mounts"); }

private:
    fs::path root_;
};

TEST(CgroupQuota, IsNoneWithoutCgroups) {
    EXPECT_EQ(cgroup_cpu_quota("/nonexistent/membership", "/nonexistent/mounts"), 0);
    EXPECT_EQ(fake_system("").quota(), 0);
    EXPECT_EQ(fake_system("nonsense\n").quota(), 0);
}

TEST(CgroupQuota, OfVersion2IsQuotaByPeriod) {
    EXPECT_EQ(fake_system("0::/app\n").with("app/cpu.max", "150000 100000\n").quota(), 1.5);
}

TEST(CgroupQuota, OfVersion2MaxIsNoLimit) { EXPECT_EQ(fake_system("0::/app\n").with("app/cpu.max", "max 100000\n").quota(), 0); }

TEST(CgroupQuota, OfVersion2IsTheTightestOnTheWayUp) {
    fake_system system("0::/a/b/c\n");
    system.with("a/cpu.max", "200000 100000\n").with("a/b/cpu.max", "max 100000\n").with("a/b/c/cpu.max", "400000 100000\n");
    EXPECT_EQ(system.quota(), 2);
}

TEST(CgroupQuota, InAContainerIsThatOfTheRoot) {
    EXPECT_EQ(fake_system("0::/\n").with("cpu.max", "50000 100000\n").quota(), 0.5);
    // Without a namespace of its own the container sees the host's path, which is not mounted.
    EXPECT_EQ(fake_system("0::/system.slice/docker-1.scope\n").with("cpu.max", "300000 100000\n").quota(), 3);
}

TEST(CgroupQuota, OfVersion1IsThatOfTheCpuController) {
    fake_system system("4:memory:/app\n3:cpu,cpuacct:/app\n2:cpuset:/other\n");
    system.with("cpu/app/cpu.cfs_quota_us", "250000\n").with("cpu/app/cpu.cfs_period_us", "100000\n");
    EXPECT_EQ(system.quota(), 2.5);
}

TEST(CgroupQuota, OfVersion1MinusOneIsNoLimit) {
    fake_system system("3:cpuacct,cpu:/app\n");
    system.with("cpu/app/cpu.cfs_quota_us", "-1\n").with("cpu/app/cpu.cfs_period_us", "100000\n");
    EXPECT_EQ(system.quota(), 0);
    system.with("cpu/cpu.cfs_quota_us", "100000\n").with("cpu/cpu.cfs_period_us", "100000\n");
    EXPECT_EQ(system.quota(), 1);
}

// systemd's hybrid: version 2 is mounted, too, and has no controllers.
TEST(CgroupQuota, OfBothVersionsIsFoundInEither) {
    fake_system system("5:cpu,cpuacct:/app\n0::/app\n");
    system.with("cpu/app/cpu.cfs_quota_us", "100000\n").with("cpu/app/cpu.cfs_period_us", "100000\n");
    EXPECT_EQ(system.quota(), 1);
}

TEST(CgroupQuota, OfABrokenFileIsNone) {
    EXPECT_EQ(fake_system("0::/app\n").with("app/cpu.max", "what 100000\n").quota(), 0);
    EXPECT_EQ(fake_system("0::/app\n").with("app/cpu.max", "100000 0\n").quota(), 0);
    EXPECT_EQ(fake_system("0::/app\n").with("app/cpu.max", "").quota(), 0);
}

TEST(AllowedCpus, AreThoseOfTheAffinityMask) {
    auto all = allowed_cpu_numbers();
    ASSERT_FALSE(all.empty());
    EXPECT_TRUE(std::ranges::is_sorted(all));
    unsigned alone = 0;
    std::vector<unsigned> numbers;
    std::thread{[&] {
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(all.back(), &one);
        ASSERT_EQ(::sched_setaffinity(0, sizeof one, &one), 0);
        alone = allowed_cpus();
        numbers = allowed_cpu_numbers();
    }}.join();
    EXPECT_EQ(alone, 1U);
    EXPECT_EQ(numbers, std::vector{all.back()});
    EXPECT_GE(allowed_cpus(), 1U);
    EXPECT_LE(allowed_cpus(), all.size());
}

}  // namespace
}  // namespace belay::detail
