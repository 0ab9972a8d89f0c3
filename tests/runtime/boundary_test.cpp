// What a stop becomes where several boundaries lie around each other, and around blocking work. Each boundary by itself is in the
// test of its header.
#include <belay/runtime/blocking.hpp>
#include <belay/runtime/finally.hpp>
#include <belay/runtime/scope.hpp>
#include <belay/runtime/shield.hpp>
#include <belay/runtime/sleep.hpp>
#include <belay/runtime/stopped_as.hpp>
#include <belay/runtime/this_task.hpp>
#include <belay/runtime/timeout.hpp>
#include <belay/runtime/when_all.hpp>
#include <belay/runtime/when_any.hpp>
#include <belay/tests/runtime/support.hpp>

namespace belay {
namespace {

using namespace test;

class Boundary : public Suite {
protected:
    runtime rt{options()};
};

task<int> never_a_number() {
    co_await never();
    co_return 1;
}
task<int> fail_with_range() {
    throw std::out_of_range("work");
    co_return 1;
}
task<int> number_of_a_scope_that_stops_itself() {
    return with_scope([](scope& s) -> task<int> {
        s.request_stop();
        co_return co_await never_a_number();
    });
}

// ---- deadlines --------------------------------------------------------------------------------------------------------

TEST_F(Boundary, OfNestedDeadlinesTheOneThatPassedThrows) {
    rt.block_on([]() -> task<> {
        bool inner_threw = false;
        auto inner_first = [&]() -> task<int> {
            try {
                co_return co_await timeout(1ms, never_a_number());
            } catch (const deadline_exceeded&) {
                inner_threw = true;
            }
            co_return 2;
        };
        EXPECT_EQ(co_await timeout(1h, inner_first()), 2);
        EXPECT_TRUE(inner_threw);

        auto inner_never = []() -> task<int> {
            try {
                co_return co_await timeout(1h, never_a_number());
            } catch (...) {
                ADD_FAILURE() << "the stop of the outer deadline was caught";
            }
            co_return 3;
        };
        EXPECT_THROW(co_await timeout(1ms, inner_never()), deadline_exceeded);
        EXPECT_FALSE(co_await try_timeout(1ms, inner_never()));
        EXPECT_THROW(co_await with_scope({.deadline = 1ms}, [&](scope&) { return inner_never(); }), deadline_exceeded);
    });
}

TEST_F(Boundary, ADeadlineThatDoesNotShortenCostsNoTimer) {
    rt.block_on([&]() -> task<> {
        auto armed = [&] {
            std::size_t sum = 0;
            for (const auto& w : rt.metrics().workers) sum += w.timers;
            return sum;
        };
        auto look = [&]() -> task<std::size_t> { co_return armed(); };
        EXPECT_EQ(co_await timeout(1h, look()), 1U);
        EXPECT_EQ(co_await timeout(1h, timeout(2h, try_timeout(std::chrono::steady_clock::now() + 3h, look()))), 1U);
        EXPECT_EQ(co_await timeout(2h, timeout(1h, look())), 2U);
        EXPECT_EQ(armed(), 0U);
    });
}

TEST_F(Boundary, ADeadlineOverAScopeThatStopsItselfLetsTheScopesOutcomePass) {
    rt.block_on([]() -> task<> {
        EXPECT_THROW(co_await timeout(1h, number_of_a_scope_that_stops_itself()), task_stopped);
        EXPECT_THROW((void)co_await try_timeout(1h, number_of_a_scope_that_stops_itself()), task_stopped);
        co_await timeout(1h, with_scope([](scope& s) -> task<> {
                             s.request_stop();
                             co_await never();
                         }));
    });
}

TEST_F(Boundary, AStopBeforeTheDeadlinePassesThroughWithoutAnException) {
    gate begun;
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            auto victim = s.spawn([&]() -> task<> {
                try {
                    co_await timeout(1h, [&]() -> task<> {
                        begun.open();
                        co_await never();
                    }());
                } catch (...) {
                    ADD_FAILURE() << "a stop was caught";
                }
            });
            co_await begun.wait();
            victim.request_stop();
            EXPECT_FALSE(co_await victim.join_optional());
        });
    });
}

// ---- errors and their consequences -------------------------------------------------------------------------------------

TEST_F(Boundary, ASiblingsErrorPassesThroughScopesThatOweAValueWithoutAnException) {
    gate begun;
    rt.block_on([&]() -> task<> {
        EXPECT_THROW(co_await with_scope([&](scope& s) -> task<> {
                         s.spawn([&]() -> task<> {
                             try {
                                 (void)co_await with_scope([&](scope&) -> task<int> {
                                     begun.open();
                                     co_return co_await never_a_number();
                                 });
                             } catch (...) {
                                 ADD_FAILURE() << "a stop was caught";
                             }
                         });
                         co_await begun.wait();
                         throw std::out_of_range("sibling");
                     }),
                     std::out_of_range);
    });
}

TEST_F(Boundary, ATaskStoppedThatCameBeforeAnyStopIsAnErrorLikeAnother) {
    rt.block_on([]() -> task<> {
        EXPECT_THROW(co_await when_all(number_of_a_scope_that_stops_itself(), never()), task_stopped);
        EXPECT_THROW(co_await when_any(number_of_a_scope_that_stops_itself(), never()), task_stopped);
        EXPECT_THROW(co_await with_scope([](scope& s) -> task<> {
                         s.spawn(number_of_a_scope_that_stops_itself);
                         co_await never();
                     }),
                     task_stopped);
    });
}

TEST_F(Boundary, AnErrorThatComesWithTheStopIsNotLost) {
    gate begun;
    rt.block_on([&]() -> task<> {
        EXPECT_THROW(co_await with_scope([&](scope& s) -> task<> {
                         auto victim = s.spawn([&]() -> task<> {
                             begun.open();
                             while (!this_task::stop_requested()) std::this_thread::yield();
                             throw std::out_of_range("in spite of the stop");
                         });
                         co_await begun.wait();
                         victim.request_stop();
                         co_await never();
                     }),
                     std::out_of_range);
    });
}

// ---- when_any's losers ---------------------------------------------------------------------------------------------------

TEST_F(Boundary, LosersOfEveryKindAreAwaitedAndSayNothing) {
    rt.block_on([]() -> task<> {
        std::atomic<int> live{0};
        auto wait = [&]() -> task<int> {
            counted here{live};
            co_return co_await never_a_number();
        };
        auto won = co_await when_any(yield(), timeout(1h, wait()), try_timeout(1h, wait()), when_all(wait(), wait()),
                                     with_scope([&](scope& s) -> task<int> {
                                         s.spawn(wait);
                                         co_return co_await wait();
                                     }));
        EXPECT_EQ(won.index, 0U);
        EXPECT_EQ(live, 0);
        EXPECT_FALSE(std::get<1>(won.values) || std::get<2>(won.values) || std::get<3>(won.values) || std::get<4>(won.values));
    });
}

TEST_F(Boundary, ALosersCleanupAndShieldAreAwaitedAndItsValueIsKept) {
    gate begun;
    gate lost;
    rt.block_on([&]() -> task<> {
        std::atomic<int> cleaned{0};
        auto cleanup = [&]() -> task<> {
            lost.open();
            co_await sleep_for(1ms);
            ++cleaned;
        };
        auto waits = [&]() -> task<> {
            begun.open();
            co_await never();
        };
        auto slow = [&]() -> task<int> {
            co_await lost.wait();
            co_await sleep_for(1ms);
            co_return 9;
        };
        auto won = co_await when_any(begun.wait(), shield(slow()), finally(waits(), cleanup));
        EXPECT_EQ(won.index, 0U);
        EXPECT_EQ(std::get<1>(won.values), std::optional<int>(9));
        EXPECT_FALSE(std::get<2>(won.values));
        EXPECT_EQ(cleaned, 1);
    });
}

TEST_F(Boundary, ADeadlineInABranchIsAnErrorThatDecides) {
    rt.block_on([]() -> task<> {
        EXPECT_THROW(co_await when_any(timeout(1ms, never()), never()), deadline_exceeded);
        auto won = co_await when_any(try_timeout(1ms, never()), never());
        EXPECT_EQ(won.index, 0U);
        EXPECT_EQ(std::get<0>(won.values), std::optional<bool>(false));
    });
}

// ---- shields and cleanups under deadlines ---------------------------------------------------------------------------------

TEST_F(Boundary, AValueFromAShieldWinsAgainstTheDeadlineAroundIt) {
    rt.block_on([]() -> task<> {
        auto slow = []() -> task<int> {
            co_await sleep_for(3ms);
            co_return 4;
        };
        EXPECT_EQ(co_await timeout(1ms, shield(slow())), 4);
        EXPECT_EQ(co_await try_timeout(1ms, shield(slow())), std::optional<int>(4));
        EXPECT_FALSE(this_task::stop_requested());
    });
}

TEST_F(Boundary, AShieldThatOverrunsUnderADeadlineIsTheDeadlines) {
    rt.block_on([]() -> task<> {
        EXPECT_THROW(co_await timeout(1ms, shield(never(), 1ms)), deadline_exceeded);
        EXPECT_EQ(co_await try_timeout(1ms, shield(never_a_number(), 1ms)), std::nullopt);
    });
}

TEST_F(Boundary, AShieldInACleanupAndACleanupInAShieldHoldTogether) {
    gate begun;
    rt.block_on([&]() -> task<> {
        event_log log;
        auto step = [&](const char* what) -> task<> {
            co_await sleep_for(1ms);
            log.add(what);
        };
        co_await with_scope([&](scope& s) -> task<> {
            auto waits = [&]() -> task<> {
                begun.open();
                co_await never();
            };
            auto victim = s.spawn([&]() -> task<> {
                co_await finally(waits(), [&]() -> task<> {
                    co_await shield(step("shield"));
                    co_await finally(step("work"), [&] { return step("cleanup"); });
                });
                ADD_FAILURE() << "went on after a stop";
            });
            co_await begun.wait();
            victim.request_stop();
            EXPECT_FALSE(co_await victim.join_optional());
        });
        EXPECT_EQ(log.text(), "shield, work, cleanup");
    });
}

TEST_F(Boundary, AStopKnownAsAValueStillRunsTheCleanupInside) {
    gate begun;
    rt.block_on([&]() -> task<> {
        bool cleaned = false;
        bool answered = false;
        co_await with_scope([&](scope& s) -> task<> {
            auto waits = [&]() -> task<int> {
                begun.open();
                co_return co_await never_a_number();
            };
            auto victim = s.spawn([&]() -> task<> {
                auto n = co_await stopped_as_optional(finally(waits(), [&]() -> task<> {
                    co_await yield();
                    cleaned = true;
                }));
                answered = !n;
                co_await yield();
                ADD_FAILURE() << "went on after a stop";
            });
            co_await begun.wait();
            victim.request_stop();
            EXPECT_FALSE(co_await victim.join_optional());
        });
        EXPECT_TRUE(cleaned);
        EXPECT_TRUE(answered);
    });
}

TEST_F(Boundary, TheErrorOfAnEnclosedWorkPassesThroughAllOfThem) {
    rt.block_on([]() -> task<> {
        auto nothing = []() -> task<> { co_return; };
        EXPECT_THROW(co_await timeout(1h, shield(finally(stopped_as_error(fail_with_range()), nothing))), std::out_of_range);
        EXPECT_THROW((void)co_await stopped_as_optional(try_timeout(1h, finally(shield(fail_with_range()), nothing))),
                     std::out_of_range);
    });
}

// ---- started blocking work -------------------------------------------------------------------------------------------------

class BoundaryOfBlocking : public Boundary {
protected:
    /// Blocks a pool's thread until open() is called; says when it has begun.
    struct door {
        std::mutex lock;
        std::condition_variable changed;
        bool begun = false;
        bool opened = false;
        int pass(int value) {
            std::unique_lock guard(lock);
            begun = true;
            changed.notify_all();
            changed.wait(guard, [&] { return opened; });
            return value;
        }
        bool has_begun() {
            std::scoped_lock guard(lock);
            return begun;
        }
        void open() {
            std::scoped_lock guard(lock);
            opened = true;
            changed.notify_all();
        }
    };
    task<int> pass(door& d, int value) {
        co_return co_await spawn_blocking([&d, value] { return d.pass(value); });
    }
};

TEST_F(BoundaryOfBlocking, ItsValueIsDeliveredAfterTheStopOfItsTaskAndTheNextSuspensionStops) {
    rt.block_on([&]() -> task<> {
        door d;
        bool delivered = false;
        co_await with_scope([&](scope& s) -> task<> {
            auto victim = s.spawn([&]() -> task<> {
                delivered = co_await pass(d, 5) == 5;
                co_await yield();
                ADD_FAILURE() << "went on after a stop";
            });
            co_await until([&] { return d.has_begun(); });
            victim.request_stop();
            for (int i = 0; i < 20; ++i) co_await yield();
            EXPECT_FALSE(victim.ended());
            d.open();
            EXPECT_FALSE(co_await victim.join_optional());
        });
        EXPECT_TRUE(delivered);
    });
}

// A function that has not begun when the deadline passes never does, so each round gives the pool twice the time to begin it.
TEST_F(BoundaryOfBlocking, ItsValueWinsAgainstADeadlineThatPassesMeanwhile) {
    rt.block_on([&]() -> task<> {
        std::atomic<bool> begun{false};
        auto until_stopped = [&]() -> task<int> {
            auto token = this_task::stop_token();
            co_return co_await spawn_blocking([&begun, token] {
                begun = true;
                wait_until([&] { return token.stop_requested(); });
                return 6;
            });
        };
        for (auto limit = 1ms; !begun; limit *= 2) {
            try {
                EXPECT_EQ(co_await timeout(limit, until_stopped()), 6);
            } catch (const deadline_exceeded&) {
                EXPECT_FALSE(begun);
            }
        }
    });
}

TEST_F(BoundaryOfBlocking, OfALoserIsAwaitedAndItsValueIsInTheResult) {
    gate won;
    rt.block_on([&]() -> task<> {
        door d;
        std::stop_token loses;
        auto loser = [&]() -> task<int> {
            loses = this_task::stop_token();
            co_return co_await pass(d, 7);
        };
        co_await with_scope([&](scope& s) -> task<> {
            auto racer = s.spawn([&]() -> task<int> {
                auto result = co_await when_any(won.wait(), loser());
                EXPECT_EQ(result.index, 0U);
                co_return std::get<1>(result.values).value_or(0);
            });
            co_await until([&] { return d.has_begun(); });
            won.open();
            co_await until([&] { return loses.stop_requested(); });
            for (int i = 0; i < 20; ++i) co_await yield();
            EXPECT_FALSE(racer.ended());
            d.open();
            EXPECT_EQ(co_await racer.join(), 7);
        });
    });
}

TEST_F(BoundaryOfBlocking, InACleanupThatOverrunsIsStillAwaited) {
    rt.block_on([&]() -> task<> {
        std::atomic<bool> begun{false};
        bool delivered = false;
        auto until_stopped = [&]() -> task<> {
            auto token = this_task::stop_token();
            delivered = co_await spawn_blocking([&begun, token] {
                begun = true;
                wait_until([&] { return token.stop_requested(); });
                return true;
            });
        };
        for (auto grace = 1ms; !begun; grace *= 2) co_await finally(yield(), until_stopped, grace);
        EXPECT_TRUE(delivered);
    });
}

}  // namespace
}  // namespace belay
