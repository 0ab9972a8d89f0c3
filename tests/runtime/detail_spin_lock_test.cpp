#include <belay/runtime/detail/spin_lock.hpp>

#include <gtest/gtest.h>

#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

namespace {

using belay::detail::spin_lock;

TEST(SpinLock, TryLockFailsWhileTheLockIsHeld) {
    spin_lock lock;
    EXPECT_TRUE(lock.try_lock());
    EXPECT_FALSE(lock.try_lock());
    lock.unlock();
    EXPECT_TRUE(lock.try_lock());
    lock.unlock();
}

TEST(SpinLock, WorksWithTheStandardGuards) {
    spin_lock first;
    spin_lock second;
    {
        std::scoped_lock both(first, second);
        EXPECT_FALSE(first.try_lock());
        EXPECT_FALSE(second.try_lock());
    }
    std::unique_lock one(first, std::try_to_lock);
    EXPECT_TRUE(one.owns_lock());
}

TEST(SpinLock, ManyThreadsExcludeEachOther) {
    constexpr int threads = 4;
    constexpr int rounds = 20'000;
    spin_lock lock;
    std::uint64_t total = 0;  // not atomic: the lock orders the accesses
    std::vector<std::thread> running;
    running.reserve(threads);
    for (int i = 0; i < threads; ++i) {
        running.emplace_back([&] {
            for (int round = 0; round < rounds; ++round) {
                std::scoped_lock guard(lock);
                ++total;
            }
        });
    }
    for (auto& thread : running) thread.join();
    EXPECT_EQ(total, std::uint64_t{threads} * rounds);
}

TEST(SpinLock, TryLockExcludesToo) {
    constexpr int rounds = 20'000;
    spin_lock lock;
    std::uint64_t total = 0;
    auto work = [&] {
        for (int round = 0; round < rounds; ++round) {
            while (!lock.try_lock()) std::this_thread::yield();
            ++total;
            lock.unlock();
        }
    };
    std::thread other(work);
    work();
    other.join();
    EXPECT_EQ(total, std::uint64_t{2} * rounds);
}

}  // namespace
