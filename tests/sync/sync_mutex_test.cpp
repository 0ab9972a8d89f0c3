// belay::sync_mutex and sync_guarded: known to the guardrail that reports a lock held across a suspension.
#include <belay/belay.hpp>

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace {

TEST(SyncMutex, TheHeldListNamesTheLineThatLocked) {
    belay::sync_mutex mutex;
    auto& held = belay::detail::this_thread_guards();
    ASSERT_EQ(held.count, 0U);
    {
        belay::sync_lock guard(mutex);
        auto line = static_cast<unsigned>(__LINE__) - 1;
        ASSERT_EQ(held.count, 1U);
        EXPECT_EQ(held.entries[0].lock, &mutex);
        EXPECT_EQ(held.entries[0].site.line(), line);
    }
    EXPECT_EQ(held.count, 0U);
}

TEST(SyncMutex, LocksMayBeReleasedInAnyOrder) {
    belay::sync_mutex a, b, c;
    auto& held = belay::detail::this_thread_guards();
    a.lock();
    b.lock();
    c.lock();
    b.unlock();
    ASSERT_EQ(held.count, 2U);
    EXPECT_EQ(held.entries[0].lock, &a);
    EXPECT_EQ(held.entries[1].lock, &c);
    c.unlock();
    a.unlock();
    EXPECT_EQ(held.count, 0U);
}

TEST(SyncMutex, MoreLocksThanTheListHoldsAreStillCounted) {
    constexpr std::size_t many = belay::detail::held_guards::capacity + 4;
    std::vector<belay::sync_mutex> locks(many);
    auto& held = belay::detail::this_thread_guards();
    for (auto& l : locks) l.lock();
    EXPECT_EQ(held.count, many);
    for (auto& l : locks) l.unlock();
    EXPECT_EQ(held.count, 0U);
}

TEST(SyncMutex, TryLockFailsWhileAnotherThreadHoldsIt) {
    belay::sync_mutex mutex;
    belay::sync_lock guard(mutex);
    bool got = true;
    std::thread([&] { got = mutex.try_lock(); }).join();
    EXPECT_FALSE(got);
}

TEST(SyncGuarded, ProtectsItsValueAndReturnsByValue) {
    belay::sync_guarded<std::vector<int>> shared;
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
        threads.emplace_back([&] {
            for (int i = 0; i < 1000; ++i) shared.with([&](std::vector<int>& v) { v.push_back(i); });
        });
    for (auto& t : threads) t.join();
    EXPECT_EQ(shared.with([](const std::vector<int>& v) { return v.size(); }), 4000U);
    EXPECT_EQ(belay::detail::this_thread_guards().count, 0U);
}

}  // namespace
