// belay::event: set once for all who wait, until it is reset.
#include <belay/belay.hpp>
#include <belay/tests/runtime/support.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>

using namespace std::chrono_literals;
using belay::task;

namespace {

class Event : public belay::test::Suite {
protected:
    belay::runtime runtime{belay::test::options(2)};
};

TEST_F(Event, LetsNobodyThroughUntilItIsSetAndThenEveryone) {
    runtime.block_on([]() -> task<> {
        belay::event happened;
        std::atomic<int> through{0};
        co_await belay::with_scope([&](belay::scope& s) -> task<> {
            for (int i = 0; i < 50; ++i)
                s.spawn([&]() -> task<> {
                    co_await happened.wait();
                    EXPECT_TRUE(happened.is_set());
                    ++through;
                });
            for (int i = 0; i < 200; ++i) co_await belay::yield();
            EXPECT_EQ(through, 0);
            happened.set();
            happened.set();
        });
        EXPECT_EQ(through, 50);
        co_await happened.wait();
    });
}

TEST_F(Event, AResetHoldsThoseWhoComeLater) {
    runtime.block_on([]() -> task<> {
        belay::event happened;
        happened.set();
        happened.reset();
        EXPECT_FALSE(happened.is_set());
        EXPECT_FALSE(co_await belay::try_timeout(1ms, happened.wait()));
        happened.set();
        co_await happened.wait();
    });
}

TEST_F(Event, ASetReachesThoseWhoWaitWhateverResetFollows) {
    belay::runtime one{belay::test::options(1)};
    one.block_on([]() -> task<> {
        belay::event happened;
        bool through = false;
        co_await belay::with_scope([&](belay::scope& s) -> task<> {
            s.spawn([&]() -> task<> {
                co_await happened.wait();
                EXPECT_FALSE(happened.is_set());
                through = true;
            });
            co_await belay::yield();
            happened.set();
            happened.reset();
        });
        EXPECT_TRUE(through);
    });
}

TEST_F(Event, AStopEndsTheWait) {
    runtime.block_on([]() -> task<> {
        belay::event never;
        co_await belay::with_scope([&](belay::scope& s) -> task<> {
            for (int i = 0; i < 10; ++i)
                s.spawn([&]() -> task<> {
                    co_await never.wait();
                    ADD_FAILURE() << "was not set";
                });
            co_await belay::yield();
            s.request_stop();
        });
    });
}

TEST_F(Event, AnEventThatIsSetCostsBudget) {
    belay::runtime one{belay::test::options(1)};
    one.block_on([]() -> task<> {
        belay::event set;
        set.set();
        bool other = false;
        co_await belay::with_scope([&](belay::scope& s) -> task<> {
            s.spawn([&]() -> task<> {
                other = true;
                co_return;
            });
            for (int i = 0; i < 1000 && !other; ++i) co_await set.wait();
            EXPECT_TRUE(other) << "the loop kept the worker for itself";
        });
    });
}

// A waiter may destroy the event as soon as it is through, while set() is still resuming the others.
TEST_F(Event, WhatHappenedBeforeTheSetIsSeenAndTheEventMayGoAtOnce) {
    for (int round = 0; round < 300; ++round) {
        auto happened = std::make_unique<belay::event>();
        int written = 0;
        std::atomic<bool> waiting{false};
        std::thread setter{[&, e = happened.get()] {
            belay::test::wait_until([&] { return waiting.load(); });
            written = round + 1;
            e->set();
        }};
        runtime.block_on([&]() -> task<> {
            waiting = true;
            co_await happened->wait();
            EXPECT_EQ(written, round + 1);
            if (round % 2 == 0) co_return;
            co_await belay::yield();
        });
        setter.join();
    }
}

}  // namespace
