// belay::semaphore: first come, first served; what is acquired is given back; a stopped acquire has acquired nothing.
#include <belay/belay.hpp>
#include <belay/tests/runtime/support.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <utility>

using namespace std::chrono_literals;
using belay::task;

namespace {

class Semaphore : public belay::test::Suite {
protected:
    belay::runtime runtime{belay::test::options(2)};
    belay::runtime one_worker{belay::test::options(1)};
};

TEST_F(Semaphore, AdmitsAtMostAsManyAsItHasPermits) {
    runtime.block_on([]() -> task<> {
        belay::semaphore three{3};
        std::atomic<int> inside{0};
        std::atomic<int> most{0};
        co_await belay::with_scope([&](belay::scope& s) -> task<> {
            for (int i = 0; i < 50; ++i)
                s.spawn([&]() -> task<> {
                    for (int k = 0; k < 20; ++k) {
                        auto permit = co_await three.acquire();
                        int now = ++inside;
                        EXPECT_LE(now, 3);
                        for (int seen = most; seen < now && !most.compare_exchange_weak(seen, now);) {}
                        co_await belay::yield();
                        --inside;
                    }
                });
            co_return;
        });
        EXPECT_GE(most, 2);
        EXPECT_EQ(three.available(), 3U);
    });
}

TEST_F(Semaphore, OneThatNeedsManyIsNotOvertakenByThoseThatNeedFew) {
    one_worker.block_on([]() -> task<> {
        belay::semaphore s{4};
        belay::test::event_log log;
        auto held = s.try_acquire(3);
        EXPECT_TRUE(held);
        auto wants = [&](std::size_t n, const char* who) -> task<> {
            auto permit = co_await s.acquire(n);
            EXPECT_EQ(permit.count(), n);
            log.add(who);
        };
        co_await belay::with_scope([&](belay::scope& in) -> task<> {
            in.spawn(std::ref(wants), 4, "many");
            co_await belay::yield();
            in.spawn(std::ref(wants), 1, "few");
            co_await belay::yield();
            EXPECT_FALSE(s.try_acquire(1)) << "overtakes";
            EXPECT_EQ(s.available(), 1U);
            held.release();
        });
        EXPECT_EQ(log.text(), "many, few");
        EXPECT_EQ(s.available(), 4U);
    });
}

TEST_F(Semaphore, WhenTheFirstGivesUpThoseBehindItAreServed) {
    one_worker.block_on([]() -> task<> {
        belay::semaphore s{1};
        bool few = false;
        co_await belay::with_scope([&](belay::scope& in) -> task<> {
            co_await belay::with_scope([&](belay::scope& impatient) -> task<> {
                impatient.spawn([&]() -> task<> { (void)co_await s.acquire(2); });
                co_await belay::yield();
                in.spawn([&]() -> task<> {
                    (void)co_await s.acquire();
                    few = true;
                });
                for (int i = 0; i < 5; ++i) co_await belay::yield();
                EXPECT_FALSE(few);
                impatient.request_stop();
            });
        });
        EXPECT_TRUE(few);
        EXPECT_EQ(s.available(), 1U);
    });
}

TEST_F(Semaphore, APermitIsGivenBackOnceByWhoHasItLast) {
    belay::semaphore s{2};
    auto a = s.try_acquire(2);
    EXPECT_EQ(a.count(), 2U);
    EXPECT_FALSE(s.try_acquire());
    belay::semaphore_permit b{std::move(a)};
    EXPECT_FALSE(a);
    EXPECT_TRUE(b);
    b.release();
    b.release();
    EXPECT_EQ(s.available(), 2U);
    EXPECT_EQ(s.try_acquire(2).forget(), 2U);
    EXPECT_EQ(s.available(), 0U);
    s.release(5);
    EXPECT_EQ(s.available(), 5U);
}

TEST_F(Semaphore, AStoppedAcquireHasAcquiredNothing) {
    runtime.block_on([]() -> task<> {
        belay::semaphore s{1};
        auto held = co_await s.acquire();
        EXPECT_FALSE(co_await belay::try_timeout(1ms, s.acquire()));
        held.release();
        EXPECT_EQ(s.available(), 1U);
    });
}

TEST_F(Semaphore, ReleasesFromOtherThreadsAreNotLost) {
    belay::semaphore s{0};
    static constexpr int each = 2'000;
    std::atomic<int> acquired{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 2; ++t)
        threads.emplace_back([&] {
            for (int i = 0; i < each; ++i) s.release();
        });
    runtime.block_on([&]() -> task<> {
        co_await belay::with_scope([&](belay::scope& in) -> task<> {
            for (int t = 0; t < 4; ++t)
                in.spawn([&]() -> task<> {
                    for (int i = 0; i < each / 4; ++i) acquired += static_cast<int>((co_await s.acquire(2)).forget());
                });
            co_return;
        });
    });
    for (auto& t : threads) t.join();
    EXPECT_EQ(acquired, 2 * each);
    EXPECT_EQ(s.available(), 0U);
}

TEST_F(Semaphore, PermitsAreMovedAssignedAndSwapped) {
    belay::semaphore a{3};
    belay::semaphore b{3};
    auto of_a = a.try_acquire(2);
    auto of_b = b.try_acquire(1);
    std::swap(of_a, of_b);
    EXPECT_EQ(of_a.count(), 1U);
    EXPECT_EQ(of_b.count(), 2U);
    of_b.release();
    EXPECT_EQ(a.available(), 3U);
    belay::semaphore_permit empty;
    of_a = std::move(empty);  // as for all guards: what it had is in the other one now
    EXPECT_EQ(b.available(), 2U);
    empty.release();
    EXPECT_EQ(b.available(), 3U);
    EXPECT_EQ(a.try_acquire(3).forget(), 3U);
    EXPECT_EQ(a.available(), 0U);
}

}  // namespace
