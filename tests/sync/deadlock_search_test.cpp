// The search for deadlocks: what it finds, and above all what it leaves alone. It is called here when every task has come to its
// suspension, so the answer does not depend on time.
#include <belay/runtime/detail/deadlock_search.hpp>
#include <belay/runtime/detail/standstill.hpp>
#include <belay/runtime/detail/worker.hpp>
#include <belay/runtime/finally.hpp>
#include <belay/runtime/runtime.hpp>
#include <belay/runtime/scope.hpp>
#include <belay/runtime/shield.hpp>
#include <belay/runtime/sleep.hpp>
#include <belay/runtime/timeout.hpp>
#include <belay/runtime/when_all.hpp>
#include <belay/runtime/when_any.hpp>
#include <belay/sync/channel.hpp>
#include <belay/sync/event.hpp>
#include <belay/sync/mutex.hpp>
#include <belay/sync/select.hpp>
#include <belay/sync/semaphore.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

namespace belay {
namespace {

using namespace std::chrono_literals;
using finding = detail::deadlock_search::finding;

constexpr auto for_ever = 1h;  // what waits so long is ended by the runtime's shutdown

/// A runtime whose watchdog does not search: the tests do.
class deadlock_search : public testing::Test {
protected:
    runtime rt{{.workers = 2, .guardrails = "all=log,deadlock=off,stall=off", .spin_us = 0}};

    /// Once nothing runs any more.
    finding search() {
        auto& core = rt.core();
        // Idle twice, and no poll in between: nobody was on the way from one to the other.
        for (;;) {
            auto before = polls();
            if (core.idle_.count() == core.serving && core.injected_seq_cst() == 0 && polls() == before) break;
            std::this_thread::yield();
        }
        detail::standstill still{core, std::chrono::nanoseconds{1min}.count()};
        EXPECT_TRUE(still);
        return detail::deadlock_search{core}.run(1'000'000).value();
    }
    std::uint64_t polls() {
        std::uint64_t sum = 0;
        for (const auto& w : rt.core().workers) sum += w->epoch();
        return sum;
    }
    std::size_t stuck() { return search().ids.size(); }
};

task<> receive(receiver<int> rx) {
    while (co_await rx.recv()) {}
}
task<> receive_and_keep(receiver<int> rx, sender<int> kept) {
    while (co_await rx.recv()) {}
    kept.close();
}

// ---- found -----------------------------------------------------------------------------------------------------

TEST_F(deadlock_search, AReceiverThatKeepsTheLastSender) {
    auto [tx, rx] = channel<int>(1);
    rt.spawn(receive_and_keep, std::move(rx), std::move(tx));
    auto found = search();
    ASSERT_EQ(found.tasks.size(), 1U);
    EXPECT_STREQ(found.tasks[0].task.waiting_on, "channel.recv");
    EXPECT_EQ(found.tasks[0].holder_count, 1U);
    EXPECT_EQ(found.tasks[0].holders[0], found.tasks[0].task.id);
    EXPECT_EQ(found.behind, 0U);
}

TEST_F(deadlock_search, AParentThatKeepsASenderOfTheChannelItsChildDrains) {
    rt.spawn([]() -> task<> {
        auto [tx, rx] = channel<int>(1);
        co_await with_scope([&rx](scope& s) -> task<> {
            s.spawn(receive, std::move(rx));
            co_return;
        });
        tx.close();
    });
    auto found = search();
    EXPECT_EQ(found.ids.size(), 1U);
    EXPECT_EQ(found.behind, 1U);
}

TEST_F(deadlock_search, TwoTasksThatWaitForEachOthersMessages) {
    auto [tx1, rx1] = channel<int>(1);
    auto [tx2, rx2] = channel<int>(1);
    rt.spawn(receive_and_keep, std::move(rx1), std::move(tx2));
    EXPECT_EQ(stuck(), 0U);  // this thread has the other end
    rt.spawn(receive_and_keep, std::move(rx2), std::move(tx1));
    auto found = search();
    ASSERT_EQ(found.tasks.size(), 2U);
    EXPECT_EQ(found.tasks[0].holders[0], found.tasks[1].task.id);
    EXPECT_EQ(found.tasks[1].holders[0], found.tasks[0].task.id);
}

TEST_F(deadlock_search, ATaskThatSendsToItself) {
    rt.spawn([]() -> task<> {
        auto [tx, rx] = channel<int>(1);
        co_await tx.send(1);
        co_await tx.send(2);
        co_await rx.recv();
    });
    auto found = search();
    ASSERT_EQ(found.tasks.size(), 1U);
    EXPECT_STREQ(found.tasks[0].task.waiting_on, "channel.send");
}

TEST_F(deadlock_search, ATaskThatLocksItsMutexTwice) {
    mutex m;
    rt.spawn([&m]() -> task<> {
        auto outer = co_await m.lock();
        auto inner = co_await m.lock();
    });
    auto found = search();
    ASSERT_EQ(found.tasks.size(), 1U);
    EXPECT_STREQ(found.tasks[0].task.waiting_on, "mutex.lock");
    rt.shutdown(1min);
}

TEST_F(deadlock_search, TwoMutexesInTwoOrders) {
    mutex a;
    mutex b;
    event both;
    auto lock = [&both](mutex* first, mutex* second) -> task<> {
        auto outer = co_await first->lock();
        co_await both.wait();
        auto inner = co_await second->lock();
    };
    rt.spawn(lock, &a, &b);
    rt.spawn(lock, &b, &a);
    EXPECT_EQ(stuck(), 0U);
    both.set();
    EXPECT_EQ(stuck(), 2U);
    rt.shutdown(1min);
}

TEST_F(deadlock_search, AGuardIsFoundWhereItWasMovedTo) {
    mutex m;
    rt.spawn([&m]() -> task<> {
        mutex_guard mine;
        {
            auto taken = co_await m.lock();
            mine = std::move(taken);
        }
        co_await with_scope([&m](scope& s) -> task<> {
            s.spawn([&m]() -> task<> { auto again = co_await m.lock(); });
            co_return;
        });
    });
    EXPECT_EQ(stuck(), 1U);
    rt.shutdown(1min);
}

TEST_F(deadlock_search, ATaskThatJoinsItself) {
    auto [tx, rx] = channel<join_handle<>>(1);
    auto itself = rt.spawn(
        [](receiver<join_handle<>> from) -> task<> {
            auto me = co_await from.recv();
            co_await me->join();
        },
        std::move(rx));
    ASSERT_TRUE(tx.try_send(std::move(itself)));
    auto found = search();
    ASSERT_EQ(found.tasks.size(), 1U);
    EXPECT_STREQ(found.tasks[0].task.waiting_on, "join");
}

TEST_F(deadlock_search, TwoTasksThatHaveOnePermitEachAndWantTwo) {
    semaphore two{2};
    event both;
    auto acquire_two = [&]() -> task<> {
        auto first = co_await two.acquire();
        co_await both.wait();
        auto second = co_await two.acquire();
    };
    rt.spawn(acquire_two);
    rt.spawn(acquire_two);
    EXPECT_EQ(stuck(), 0U);
    both.set();
    auto found = search();
    ASSERT_EQ(found.tasks.size(), 2U);
    EXPECT_EQ(found.tasks[0].holder_count, 1U);
    rt.shutdown(1min);
}

TEST_F(deadlock_search, ASelectOfWhichNoArmCanHappen) {
    mutex m;
    rt.spawn([&m]() -> task<> {
        auto held = co_await m.lock();
        auto [tx, rx] = channel<int>(1);
        static_cast<void>(co_await select(rx.recv(), m.lock()));
    });
    auto found = search();
    ASSERT_EQ(found.tasks.size(), 1U);
    EXPECT_STREQ(found.tasks[0].task.waiting_on, "select");
    rt.shutdown(1min);
}

TEST_F(deadlock_search, AChildThatWaitsForRoomInItsOwnScope) {
    rt.spawn([]() -> task<> {
        co_await with_scope({.max_tasks = 1}, [](scope& s) -> task<> {
            s.spawn([&s]() -> task<> { co_await s.spawn_when_free([]() -> task<> { co_return; }); });
            co_return;
        });
    });
    auto found = search();
    ASSERT_EQ(found.tasks.size(), 1U);
    EXPECT_STREQ(found.tasks[0].task.waiting_on, "scope.spawn_when_free");
    EXPECT_EQ(found.behind, 1U);
}

TEST_F(deadlock_search, ABranchOfWhenAllAmongOthersThatHaveEnded) {
    rt.spawn([]() -> task<> {
        auto [tx, rx] = channel<int>(1);
        auto ends = []() -> task<> { co_return; };
        auto waits = [&rx]() -> task<> { co_await rx.recv(); };
        co_await when_all(ends(), waits(), ends());
    });
    EXPECT_EQ(stuck(), 1U);
}

TEST_F(deadlock_search, InsideAShield) {
    rt.spawn([]() -> task<> {
        auto [tx, rx] = channel<int>(1);
        auto waits = [&rx]() -> task<> { co_await rx.recv(); };
        co_await shield(waits(), 1ms);
    });
    EXPECT_EQ(stuck(), 1U);
}

TEST_F(deadlock_search, WhatASpawnedLambdaCapturesIsTheTasksOwn) {
    auto [tx, rx] = channel<int>(1);
    rt.spawn([kept = std::move(tx), from = std::move(rx)]() mutable -> task<> { co_await from.recv(); });
    EXPECT_EQ(stuck(), 1U);
}

TEST_F(deadlock_search, OthersGoOn) {
    rt.spawn([]() -> task<> { co_await sleep_for(for_ever); });
    auto [tx, rx] = channel<int>(1);
    rt.spawn(receive_and_keep, std::move(rx), std::move(tx));
    rt.spawn([]() -> task<> {
        co_await with_scope([](scope& s) -> task<> {
            s.spawn([]() -> task<> { co_await sleep_for(for_ever); });
            co_return;
        });
    });
    EXPECT_EQ(stuck(), 1U);
}

TEST_F(deadlock_search, WhenTheLastOneOutsideGivesUp) {
    auto [tx, rx] = channel<int>(1);
    std::optional<sender<int>> outside{tx};
    rt.spawn(receive_and_keep, std::move(rx), std::move(tx));
    EXPECT_EQ(stuck(), 0U);
    outside.reset();
    EXPECT_EQ(stuck(), 1U);
}

// ---- while tasks run -------------------------------------------------------------------------------------------

TEST_F(deadlock_search, MayHaltTasksAtAnyMoment) {
    constexpr int rounds = 20'000;
    std::atomic<bool> over{false};
    std::atomic<int> spawned{0};
    auto [ping, pinged] = channel<int>(1);
    auto [pong, ponged] = channel<int>(1);
    auto echo = [](receiver<int> from, sender<int> to) -> task<> {
        while (auto next = co_await from.recv()) co_await to.send(*next);
    };
    rt.spawn(echo, std::move(pinged), std::move(pong));
    auto plays = rt.spawn(
        [](sender<int> to, receiver<int> from) -> task<int> {
            int sum = 0;
            for (int i = 0; i < rounds; ++i) {
                co_await to.send(1);
                sum += (co_await from.recv()).value_or(0);
            }
            co_return sum;
        },
        std::move(ping), std::move(ponged));
    auto spawns = rt.spawn([&over, &spawned]() -> task<int> {
        mutex m;
        int joined = 0;
        while (!over) {
            co_await with_scope([&m, &joined, &spawned](scope& s) -> task<> {
                for (int i = 0; i < 10; ++i, ++spawned) {
                    s.spawn([&m, &joined]() -> task<> {
                        auto guard = co_await m.lock();
                        ++joined;
                    });
                }
                co_return;
            });
        }
        co_return joined;
    });
    while (!plays.ended()) {
        detail::standstill still{rt.core(), std::chrono::nanoseconds{1ms}.count()};
        if (!still) continue;
        auto found = detail::deadlock_search{rt.core()}.run(1'000'000);
        EXPECT_EQ(found ? found->ids.size() : 0U, 0U);
    }
    over = true;
    rt.block_on([&]() -> task<> {
        EXPECT_EQ(co_await plays.join(), rounds);
        EXPECT_EQ(co_await spawns.join(), spawned.load());
    });
}

// ---- left alone ------------------------------------------------------------------------------------------------

TEST_F(deadlock_search, NothingIsFoundWhereNothingIs) { EXPECT_EQ(stuck(), 0U); }

TEST_F(deadlock_search, AThreadHasTheSender) {
    auto [tx, rx] = channel<int>(1);
    rt.spawn(receive, std::move(rx));
    EXPECT_EQ(stuck(), 0U);
}

TEST_F(deadlock_search, TheSenderIsOnTheHeap) {
    rt.spawn([]() -> task<> {
        auto [tx, rx] = channel<int>(1);
        auto kept = std::make_unique<sender<int>>(std::move(tx));
        co_await rx.recv();
    });
    EXPECT_EQ(stuck(), 0U);
}

TEST_F(deadlock_search, ASenderInAMessageIsOnTheHeapToo) {
    rt.spawn([]() -> task<> {
        auto [tx, rx] = channel<int>(1);
        auto [carry, carried] = channel<sender<int>>(1);
        co_await carry.send(std::move(tx));
        co_await rx.recv();
    });
    EXPECT_EQ(stuck(), 0U);
}

TEST_F(deadlock_search, TheHolderSleeps) {
    auto [tx, rx] = channel<int>(1);
    rt.spawn(receive, std::move(rx));
    rt.spawn(
        [](sender<int> to) -> task<> {
            co_await sleep_for(for_ever);
            co_await to.send(1);
        },
        std::move(tx));
    EXPECT_EQ(stuck(), 0U);
}

TEST_F(deadlock_search, AChildUsesWhatIsInItsParentsFrame) {
    rt.spawn([]() -> task<> {
        auto [tx, rx] = channel<int>(1);
        co_await with_scope([&tx, &rx](scope& s) -> task<> {
            s.spawn([&rx]() -> task<> { co_await rx.recv(); });
            s.spawn([&tx]() -> task<> {
                co_await sleep_for(for_ever);
                co_await tx.send(1);
            });
            co_return;
        });
    });
    EXPECT_EQ(stuck(), 0U);
}

TEST_F(deadlock_search, AGrandchildDoes) {
    rt.spawn([]() -> task<> {
        mutex m;
        auto held = co_await m.lock();
        co_await with_scope([&m, &held](scope& s) -> task<> {
            s.spawn([&m]() -> task<> { auto mine = co_await m.lock(); });
            s.spawn([&held]() -> task<> {
                auto unlocks_later = [&held]() -> task<> {
                    co_await sleep_for(for_ever);
                    held.unlock();
                };
                co_await when_all(unlocks_later(), unlocks_later());
            });
            co_return;
        });
    });
    EXPECT_EQ(stuck(), 0U);
}

TEST_F(deadlock_search, AChildUsesTheLocalsOfItsScopesBody) {
    rt.spawn([]() -> task<> {
        co_await with_scope([](scope& s) -> task<> {
            auto [tx, rx] = channel<int>(1);
            auto sends = s.spawn([&tx]() -> task<> {
                co_await sleep_for(for_ever);
                co_await tx.send(1);
            });
            co_await rx.recv();
            co_await sends.join();
        });
    });
    EXPECT_EQ(stuck(), 0U);
}

TEST_F(deadlock_search, ADeadlineEndsTheWait) {
    rt.spawn([]() -> task<> {
        auto [tx, rx] = channel<int>(1);
        auto waits = [&rx]() -> task<> { co_await rx.recv(); };
        co_await try_timeout(for_ever, waits());
    });
    rt.spawn([]() -> task<> {
        co_await with_scope({.deadline = for_ever}, [](scope& s) -> task<> {
            auto [tx, rx] = channel<int>(1);
            s.spawn(receive_and_keep, std::move(rx), std::move(tx));
            co_return;
        });
    });
    EXPECT_EQ(stuck(), 0U);
}

TEST_F(deadlock_search, ADeadlineOutsideOfAShieldDoesToo) {
    rt.spawn([]() -> task<> {
        auto [tx, rx] = channel<int>(1);
        auto waits = [&rx]() -> task<> { co_await rx.recv(); };
        co_await try_timeout(for_ever, shield(waits(), 1ms));
    });
    EXPECT_EQ(stuck(), 0U);
}

TEST_F(deadlock_search, OneArmOfASelectCanHappen) {
    rt.spawn([]() -> task<> {
        auto [tx, rx] = channel<int>(1);
        static_cast<void>(co_await select(rx.recv(), sleep_for(for_ever)));
    });
    EXPECT_EQ(stuck(), 0U);
}

TEST_F(deadlock_search, OneBranchOfWhenAnyCanEndAndStopsTheOther) {
    rt.spawn([]() -> task<> {
        auto waits = []() -> task<> {
            auto [tx, rx] = channel<int>(1);
            co_await rx.recv();
        };
        auto sleeps = []() -> task<> { co_await sleep_for(for_ever); };
        co_await when_any(waits(), sleeps());
    });
    auto found = search();
    EXPECT_EQ(found.ids.size(), 0U);
    EXPECT_EQ(found.behind, 0U);
}

TEST_F(deadlock_search, TheWinnerOfARaceStopsAllThatHangsBelowTheOthers) {
    rt.spawn([]() -> task<> {
        auto scoped = []() -> task<> {
            co_await with_scope([](scope& s) -> task<> {
                auto [tx, rx] = channel<int>(1);
                s.spawn(receive_and_keep, std::move(rx), std::move(tx));
                co_return;
            });
        };
        auto sleeps = []() -> task<> { co_await sleep_for(for_ever); };
        co_await when_any(scoped(), sleeps());
    });
    EXPECT_EQ(stuck(), 0U);
}

TEST_F(deadlock_search, TheReceivingEndMayCloseTheChannel) {
    auto [tx, rx] = channel<int>(1);
    auto receives = rt.spawn(
        [](receiver<int> from) -> task<> {
            co_await with_scope([&from](scope& s) -> task<> {
                s.spawn([&from]() -> task<> {
                    while (co_await from.recv()) {}
                });
                s.spawn([&from]() -> task<> {
                    co_await sleep_for(for_ever);
                    from.close();
                });
                co_return;
            });
        },
        std::move(rx));
    rt.spawn([kept = std::move(tx), &receives]() mutable -> task<> { co_await receives.join(); });
    EXPECT_EQ(stuck(), 0U);
    rt.shutdown(1min);
}

TEST_F(deadlock_search, TheGraceOfACleanupEndsIt) {
    rt.spawn([]() -> task<> {
        auto nothing = []() -> task<> { co_return; };
        auto waits_for_itself = []() -> task<> {
            auto [tx, rx] = channel<int>(1);
            co_await rx.recv();
        };
        co_await finally(nothing(), waits_for_itself, for_ever);
    });
    EXPECT_EQ(stuck(), 0U);
    rt.shutdown(100ms);
}

TEST_F(deadlock_search, AChildUsesTheLocalsOfWhatTheBodyRunsAsABranch) {
    rt.spawn([]() -> task<> {
        co_await with_scope([](scope& s) -> task<> {
            auto inner = [&s]() -> task<> {
                auto [tx, rx] = channel<int>(1);
                auto sends = s.spawn([&tx]() -> task<> {
                    co_await sleep_for(for_ever);
                    co_await tx.send(1);
                });
                co_await rx.recv();
                co_await sends.join();
            };
            co_await shield(inner(), 1ms);
        });
    });
    EXPECT_EQ(stuck(), 0U);
}

TEST_F(deadlock_search, TwoBranchesOfOneTaskCountAsOne) {
    rt.spawn([]() -> task<> {
        auto waits = []() -> task<> {
            auto [tx, rx] = channel<int>(1);
            co_await rx.recv();
        };
        co_await when_all(waits(), waits());
    });
    auto found = search();
    EXPECT_EQ(found.ids.size(), 1U);
    EXPECT_EQ(found.tasks.size(), 2U);
    EXPECT_EQ(found.behind, 0U);
}

TEST_F(deadlock_search, GivesWayToATaskThatIsReady) {
    auto [tx, rx] = channel<int>(1);
    rt.spawn(receive, std::move(rx));
    ASSERT_EQ(stuck(), 0U);
    detail::standstill still{rt.core(), std::chrono::nanoseconds{1min}.count()};
    ASSERT_TRUE(still);
    EXPECT_FALSE(still.is_in_the_way());
    ASSERT_TRUE(tx.try_send(1));
    EXPECT_TRUE(still.is_in_the_way());
    EXPECT_FALSE(detail::deadlock_search{rt.core()}.run(1'000'000, &still).has_value());
}

TEST_F(deadlock_search, AnEventMayBeSetByAnybody) {
    event e;
    rt.spawn([&e]() -> task<> { co_await e.wait(); });
    EXPECT_EQ(stuck(), 0U);
    rt.shutdown(1min);
}

TEST_F(deadlock_search, PermitsThatAnybodyMayAdd) {
    semaphore none{0};
    semaphore one{1};
    rt.spawn([&none]() -> task<> { auto p = co_await none.acquire(); });
    rt.spawn([&one]() -> task<> {
        auto mine = co_await one.acquire();
        mine.forget();
        auto more = co_await one.acquire();
    });
    EXPECT_EQ(stuck(), 0U);
    rt.shutdown(1min);
}

TEST_F(deadlock_search, WhoIsFirstAtASemaphoreMayGiveUp) {
    semaphore three{3};
    event all_are_wanted;
    rt.spawn([&]() -> task<> {
        auto one = co_await three.acquire();
        co_await all_are_wanted.wait();
        auto another = co_await three.acquire();  // there are two, but it is not its turn
    });
    EXPECT_EQ(stuck(), 0U);
    auto drains = rt.spawn([&]() -> task<> { co_await try_timeout(for_ever, three.acquire(3)); });
    EXPECT_EQ(stuck(), 0U);
    all_are_wanted.set();
    EXPECT_EQ(stuck(), 0U) << "the time of the first is up some day";
    drains.request_stop();
    EXPECT_EQ(stuck(), 0U);
    rt.shutdown(1min);
}

TEST_F(deadlock_search, WhoIsFirstAtASemaphoreMayBeStuckToo) {
    semaphore three{3};
    event all_are_wanted;
    rt.spawn([&]() -> task<> {
        auto one = co_await three.acquire();
        co_await all_are_wanted.wait();
        auto another = co_await three.acquire();
    });
    EXPECT_EQ(stuck(), 0U);
    rt.spawn([&]() -> task<> { auto all = co_await three.acquire(3); });
    EXPECT_EQ(stuck(), 0U);
    all_are_wanted.set();
    EXPECT_EQ(stuck(), 2U);
    rt.shutdown(1min);
}

TEST_F(deadlock_search, APermitOfAChannelIsOut) {
    auto [tx, rx] = channel<int>(1);
    auto reserved = std::make_shared<permit<int>>();
    rt.block_on([&]() -> task<> { *reserved = co_await tx.reserve(); });
    rt.spawn(receive_and_keep, std::move(rx), std::move(tx));
    EXPECT_EQ(stuck(), 0U);
    ASSERT_EQ(reserved->send(1), send_status::sent);
    EXPECT_EQ(stuck(), 1U);
}

TEST_F(deadlock_search, AThreadHasTheLock) {
    mutex m;
    auto guard = m.try_lock();
    ASSERT_TRUE(guard.owns_lock());
    rt.spawn([&m]() -> task<> { auto mine = co_await m.lock(); });
    EXPECT_EQ(stuck(), 0U);
    guard.unlock();
    rt.shutdown(1min);
}

TEST_F(deadlock_search, TheJoinedTaskSleeps) {
    auto sleeps = rt.spawn([]() -> task<> { co_await sleep_for(for_ever); });
    rt.spawn([&sleeps]() -> task<> { co_await sleeps.join(); });
    EXPECT_EQ(stuck(), 0U);
    rt.shutdown(1min);
}

TEST_F(deadlock_search, RoomInAScopeComesFree) {
    rt.spawn([]() -> task<> {
        co_await with_scope({.max_tasks = 1}, [](scope& s) -> task<> {
            s.spawn([]() -> task<> { co_await sleep_for(for_ever); });
            co_await s.spawn_when_free([]() -> task<> { co_return; });
        });
    });
    EXPECT_EQ(stuck(), 0U);
}

TEST_F(deadlock_search, TooManyTasksAreNotLookedAt) {
    auto [tx, rx] = channel<int>(1);
    rt.spawn(receive_and_keep, std::move(rx), std::move(tx));
    ASSERT_EQ(stuck(), 1U);
    detail::standstill still{rt.core(), std::chrono::nanoseconds{1min}.count()};
    ASSERT_TRUE(still);
    EXPECT_FALSE(detail::deadlock_search{rt.core()}.run(0).has_value());
}

TEST_F(deadlock_search, ManyChainsOfTasks) {
    // Each receives from the next and keeps the sender of the one before; the last one's sender is ours.
    constexpr int length = 1'000;
    auto [first_tx, first_rx] = channel<int>(1);
    std::optional<sender<int>> before{std::move(first_tx)};
    rt.spawn(receive, std::move(first_rx));
    for (int i = 0; i < length; ++i) {
        auto [tx, rx] = channel<int>(1);
        rt.spawn(receive_and_keep, std::move(rx), std::move(*before));
        before.emplace(std::move(tx));
    }
    EXPECT_EQ(stuck(), 0U);
    auto [tx, rx] = channel<int>(1);
    rt.spawn(
        [own = std::move(tx)](receiver<int> from, sender<int> kept) -> task<> {
            while (co_await from.recv()) {}
            kept.close();
        },
        std::move(rx), std::move(*before));
    before.reset();
    EXPECT_EQ(stuck(), length + 2U);
}

}  // namespace
}  // namespace belay
