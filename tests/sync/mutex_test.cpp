// belay::mutex: mutual exclusion across suspensions, first come first served, stop-safe.
#include <belay/belay.hpp>

#include <gtest/gtest.h>

#include <vector>

using namespace std::chrono_literals;
using belay::task;

namespace {

TEST(Mutex, ItsGuardMayBeHeldAcrossSuspensions) {
    belay::runtime runtime{{.workers = 2}};
    runtime.block_on([]() -> task<> {
        belay::mutex mutex;
        int inside = 0;
        int total = 0;  // plain: the mutex protects it
        co_await belay::with_scope([&](belay::scope& s) -> task<> {
            for (int t = 0; t < 50; ++t) {
                s.spawn([&]() -> task<> {
                    for (int i = 0; i < 20; ++i) {
                        auto guard = co_await mutex.lock();
                        EXPECT_EQ(++inside, 1);
                        co_await belay::yield();
                        ++total;
                        --inside;
                    }
                });
            }
            co_return;
        });
        EXPECT_EQ(total, 1000);
    });
}

TEST(Mutex, HandsOverInTheOrderOfArrival) {
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on([]() -> task<> {
        belay::mutex mutex;
        std::vector<int> order;
        co_await belay::with_scope([&](belay::scope& s) -> task<> {
            auto guard = co_await mutex.lock();
            int arrived = 0;
            for (int t = 0; t < 5; ++t) {
                s.spawn(
                    [&](int me) -> task<> {
                        ++arrived;
                        auto mine = co_await mutex.lock();
                        order.push_back(me);
                    },
                    t);
                while (arrived != t + 1) co_await belay::yield();  // each queues before the next is made
            }
            EXPECT_TRUE(order.empty());
            guard.unlock();
        });
        EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3, 4}));
    });
}

TEST(Mutex, TryLockNeverWaits) {
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on([]() -> task<> {
        belay::mutex mutex;
        auto guard = co_await mutex.lock();
        EXPECT_FALSE(mutex.try_lock().owns_lock());
        guard.unlock();
        guard.unlock();
        EXPECT_TRUE(mutex.try_lock().owns_lock());
    });
}

TEST(Mutex, AStoppedWaiterHasNotLocked) {
    belay::runtime runtime{{.workers = 2}};
    runtime.block_on([]() -> task<> {
        belay::mutex mutex;
        {
            auto guard = co_await mutex.lock();
            EXPECT_FALSE((co_await belay::try_timeout(1ms, mutex.lock())).has_value());
        }
        EXPECT_TRUE(mutex.try_lock().owns_lock());
    });
}

TEST(Mutex, StaysConsistentWhenWaitersAreStoppedAtAnyMoment) {
    belay::runtime runtime{{.workers = 2}};
    runtime.block_on([]() -> task<> {
        belay::mutex mutex;
        int total = 0;
        int locked = 0;
        co_await belay::with_scope([&](belay::scope& s) -> task<> {
            for (int t = 0; t < 8; ++t) {
                s.spawn([&]() -> task<> {
                    for (int i = 0; i < 500; ++i) {
                        auto raced = co_await belay::when_any(mutex.lock(), belay::yield());
                        if (auto& guard = std::get<0>(raced.values); guard.has_value()) {
                            EXPECT_EQ(++locked, 1);
                            ++total;
                            --locked;
                        }
                    }
                });
            }
            co_return;
        });
        EXPECT_GT(total, 0);
        EXPECT_TRUE(mutex.try_lock().owns_lock());
    });
}

}  // namespace
