// A stop and an error at every step: programs that are right, and programs that are not.
#include <belay/tests/kit/everywhere.hpp>

#include <belay/runtime/async_generator.hpp>
#include <belay/runtime/blocking.hpp>
#include <belay/runtime/finally.hpp>
#include <belay/runtime/scope.hpp>
#include <belay/runtime/shield.hpp>
#include <belay/runtime/sleep.hpp>
#include <belay/runtime/timeout.hpp>
#include <belay/runtime/when_all.hpp>
#include <belay/runtime/yield.hpp>
#include <belay/sync/channel.hpp>
#include <belay/sync/event.hpp>
#include <belay/sync/mutex.hpp>
#include <belay/sync/semaphore.hpp>
#include <belay/tests/kit/gtest.hpp>
#include <belay/tests/kit/ledger.hpp>
#include <belay/tests/kit/stress.hpp>

#include <array>
#include <atomic>
#include <set>

namespace belay::kit {
namespace {

using namespace std::chrono_literals;

/// A bit of everything, with a place for a stop or an error at each await.
task<> busy_program(simulation&) {
    mutex lock;
    semaphore few{1};
    auto [tx, rx] = channel<int>(1);
    co_await with_scope([&](scope& s) -> task<> {
        s.spawn(
            [](sender<int> to) -> task<> {
                for (int i = 0; i < 3; ++i) co_await to.send(i);
            },
            std::move(tx));
        s.spawn([&]() -> task<> {
            auto guard = co_await lock.lock();
            co_await sleep_for(1ms);
        });
        s.spawn([&]() -> task<> {
            auto permit = co_await few.acquire();
            auto guard = co_await lock.lock();
        });
        co_await spawn_blocking([] {});
        co_await timeout(1s, sleep_for(2ms));
        while (co_await rx.recv()) {}
    });
}

TEST(StopEverywhere, AProgramThatIsRightMayBeStoppedAnywhere) {
    auto result = stop_everywhere({}, busy_program);
    EXPECT_FALSE(result.failure) << result.failure->text();
    EXPECT_GT(result.places, 15U);
    EXPECT_GE(result.runs, result.places);
}

TEST(StopEverywhere, SeedsGiveOtherPlaces) {
    auto result = stop_everywhere({.sim = {.how = interleaving::mixed}, .seeds = 10}, busy_program);
    EXPECT_FALSE(result.failure) << result.failure->text();
    EXPECT_GT(result.places, 150U);
}

TEST(StopEverywhere, AProgramThatLeavesSomethingBehindIsFound) {
    int open = 0;
    auto result = stop_everywhere(
        {.check = [&] { return open == 0 ? std::string{} : std::to_string(std::exchange(open, 0)) + " are open"; }},
        [&](simulation&) -> task<> {
            ++open;
            co_await sleep_for(1ms);
            co_await yield();
            --open;  // not reached when it is stopped
        });
    ASSERT_TRUE(result.failure);
    EXPECT_EQ(result.failure->kind, failure_kind::check);
    EXPECT_EQ(result.failure->what, "stopped after step 1: 1 are open");
}

TEST(StopEverywhere, AProgramThatHangsWhenItIsStoppedIsFound) {
    auto result = stop_everywhere({.sim = {.how = interleaving::calm, .shutdown_grace = 100ms}}, [](simulation&) -> task<> {
        event done;
        // The cleanup waits for what only the stopped work would have done.
        co_await finally(
            [&]() -> task<> {
                co_await sleep_for(1ms);
                done.set();
            }(),
            [&]() -> task<> { co_await done.wait(); });
    });
    ASSERT_TRUE(result.failure);
    EXPECT_EQ(result.failure->kind, failure_kind::guardrail) << result.failure->text();
    EXPECT_NE(result.failure->what.find("cleanup-overrun"), std::string::npos) << result.failure->what;
}

TEST(StopEverywhere, LosesNoMessage) {
    std::unique_ptr<ledger> messages;
    std::unique_ptr<receiver<ledger::message>> rest;
    auto drained = [&]() -> std::string {
        while (auto left = rest->try_recv()) messages->received(std::move(*left));
        rest.reset();
        return messages->complaint();
    };
    auto result =
        stop_everywhere({.sim = {.how = interleaving::mixed}, .seeds = 20, .check = drained}, [&](simulation&) -> task<> {
            messages = std::make_unique<ledger>();
            auto [tx, rx] = channel<ledger::message>(2);
            rest = std::make_unique<receiver<ledger::message>>(std::move(rx));
            co_await with_scope([&](scope& s) -> task<> {
                auto produce = [&](sender<ledger::message> to) -> task<> {
                    for (int n = 0; n < 4; ++n) {
                        auto one = messages->make();
                        auto id = one.id();
                        if (co_await to.send(std::move(one)) == send_status::sent) messages->sent(id);
                    }
                };
                s.spawn(produce, tx);
                s.spawn(produce, std::move(tx));
                while (auto got = co_await rest->recv()) messages->received(std::move(*got));
            });
        });
    EXPECT_FALSE(result.failure) << result.failure->text();
    EXPECT_GT(result.places, 200U);
}

// ---- errors ------------------------------------------------------------------------------------------------------

TEST(FailEverywhere, AProgramThatIsRightMayFailAnywhere) {
    auto result = fail_everywhere({}, busy_program);
    EXPECT_FALSE(result.failure) << result.failure->text();
    EXPECT_GT(result.places, 5U);
}

TEST(FailEverywhere, TheCallerGetsTheErrorAndMayHandleIt) {
    std::multiset<std::string> handled;
    auto inner = []() -> task<std::array<int, 100>> {
        co_await sleep_for(1ms);
        co_await sleep_for(1ms);
        co_return std::array<int, 100>{};
    };
    auto nothing = []() -> task<> { co_await sleep_for(1ms); };
    auto reference = [](int& to) -> task<int&> {
        co_await sleep_for(1ms);
        co_return to;
    };
    auto attempt = [&](const char* name, auto&& call) -> task<> {
        try {
            co_await call();
        } catch (const injected_failure&) {
            handled.insert(name);
        }
    };
    int number = 1;
    auto result = fail_everywhere({}, [&](simulation&) -> task<> {
        co_await attempt("inner", inner);
        co_await attempt("nothing", nothing);
        co_await attempt("reference", [&] { return reference(number); });
    });
    EXPECT_FALSE(result.failure) << result.failure->text();
    EXPECT_EQ(handled, (std::multiset<std::string>{"inner", "inner", "nothing", "reference"}));
}

TEST(FailEverywhere, SpawnedTasksBranchesAndGeneratorsFailLikeFunctions) {
    std::set<std::string> seen;
    auto result = fail_everywhere({}, [&](simulation&) -> task<> {
        try {
            co_await with_scope([&](scope& s) -> task<> {
                s.spawn([]() -> task<> { co_await sleep_for(1ms); });
                co_return;
            });
        } catch (const injected_failure&) {
            seen.insert("spawned");
        }
        try {
            co_await when_all(
                []() -> task<int> {
                    co_await sleep_for(1ms);
                    co_return 1;
                }(),
                []() -> task<> { co_await sleep_for(2ms); }());
        } catch (const injected_failure&) {
            seen.insert("branch");
        }
        auto numbers = []() -> async_generator<int> {
            for (int i = 0; i < 3; ++i) {
                co_await sleep_for(1ms);
                co_yield i;
            }
        };
        auto from = numbers();
        int expected = 0;
        while (auto got = co_await from.next()) EXPECT_EQ(*got, expected++);
        EXPECT_EQ(expected, 3) << "a generator is left alone";
    });
    EXPECT_FALSE(result.failure) << result.failure->text();
    EXPECT_EQ(seen, (std::set<std::string>{"branch", "spawned"}));
}

TEST(FailEverywhere, AProgramThatHangsWhenOneOfItsTasksFailsIsFound) {
    auto result = fail_everywhere({}, [](simulation&) -> task<> {
        event ready;
        auto prepare = [&]() -> task<> {
            co_await sleep_for(1ms);
            ready.set();
        };
        co_await with_scope({.on_error = on_error::isolate}, [&](scope& s) -> task<> {
            s.spawn([&]() -> task<> { co_await prepare(); });
            co_await ready.wait();  // for ever, if that failed
        });
    });
    ASSERT_TRUE(result.failure);
    EXPECT_EQ(result.failure->kind, failure_kind::deadlock);
    EXPECT_NE(result.failure->what.find("waits on event"), std::string::npos) << result.failure->what;
}

// ---- the ledger --------------------------------------------------------------------------------------------------

TEST(Ledger, ComplainsOfWhatIsLostDoubledOrLeaked) {
    ledger book;
    EXPECT_EQ(book.complaint(), "");
    auto one = book.make();
    EXPECT_EQ(book.complaint(), "message 1 was never destroyed\n");
    book.sent(one.id());
    { auto lost = std::move(one); }
    EXPECT_EQ(book.complaint(), "message 1 was sent and did not arrive\n");
    book.receiver_gone();
    EXPECT_EQ(book.complaint(), "");
    auto two = book.make();
    book.sent(two.id());
    book.received(std::move(two));
    EXPECT_EQ(book.complaint(), "");
    EXPECT_EQ(book.made(), 2U);
    EXPECT_EQ(book.arrived(), 1U);
    { auto unsent = book.make(); }
    EXPECT_EQ(book.complaint(), "") << "what was never sent may go";
}

// ---- stress -------------------------------------------------------------------------------------------------------

BELAY_TEST(Stress, RunsEachTaskSoManyTimes) {
    std::atomic<std::size_t> calls{0};
    std::atomic<std::uint64_t> sum{0};
    for (int again = 0; again < 2; ++again) {
        std::uint64_t before = sum.exchange(0);
        calls = 0;
        co_await stress(4, 50, 7, [&](stress_point at) -> task<> {
            ++calls;
            sum += at.random() % 1'000 + at.task;
            co_await yield();
        });
        CO_ASSERT_EQ(calls.load(), 200U);
        if (again == 1) {
            CO_ASSERT_EQ(sum.load(), before) << "the seed decides the numbers";
        }
    }
    bool thrown = false;
    try {
        co_await stress(2, 10, 1, [](stress_point at) -> task<> {
            co_await yield();
            if (at.iteration == 5) throw std::runtime_error("at five");
        });
    } catch (const std::runtime_error&) {
        thrown = true;
    }
    CO_ASSERT_TRUE(thrown);
}

TEST(StopEverywhereDeathTest, ARunThatEndsTheProcessTellsItsPlace) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_DEATH(stop_everywhere({.sim = {.seed = 1, .how = interleaving::calm}},
                                 [](simulation&) -> task<> {
                                     struct must_end_well {
                                         ~must_end_well() {
                                             if (!ended) std::abort();
                                         }
                                         bool ended = false;
                                     } look;
                                     co_await yield();
                                     co_await yield();
                                     look.ended = true;
                                 }),
                 "BELAY_SEED=1 BELAY_PLACE=1");
}

}  // namespace
}  // namespace belay::kit
