// belay::select: exactly one of several operations happens, and the others did not.
#include <belay/belay.hpp>
#include <belay/tests/runtime/support.hpp>

#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using belay::biased;
using belay::select;
using belay::send_status;
using belay::sleep_for;
using belay::task;

namespace {

task<> pass(int turns = 10) {
    for (int i = 0; i < turns; ++i) co_await belay::yield();
}

/// One worker: what runs when is known. A hang is a failure.
class Select : public belay::test::Suite {
protected:
    belay::runtime runtime{belay::test::options(1)};

    /// Runs `selecting` as a task until it waits, then `then`, which decides who wins.
    template <class A, class B>
    void decide(A selecting, B then) {
        runtime.block_on([&]() -> task<> {
            co_await belay::with_scope([&](belay::scope& s) -> task<> {
                auto waits = s.spawn(std::ref(selecting));
                co_await pass();
                EXPECT_FALSE(waits.ended()) << "it should wait";
                co_await then();
                co_await waits.join();
            });
        });
    }
};

// ---- each operation, when it can happen at once -----------------------------------------------------------------

TEST_F(Select, TakesWhatCanHappenAtOnceAndLeavesTheRestAlone) {
    runtime.block_on([]() -> task<> {
        co_await belay::with_scope([](belay::scope& s) -> task<> {
            auto [tx, rx] = belay::channel<int>(1);
            auto [full, from_full] = belay::channel<int>(1);
            EXPECT_TRUE(full.try_send(0));
            belay::event never;
            belay::mutex mutex;
            auto locked = mutex.try_lock();
            belay::semaphore semaphore{0};
            auto child = s.spawn([]() -> task<std::string> { co_return "ended"; });
            auto runs = s.spawn([&]() -> task<int> {
                co_await never.wait();
                co_return 1;
            });
            co_await pass();

            // Everything but the last can only wait.
            auto only_waits = [&](auto&& ready) {
                return select(full.reserve(), never.wait(), mutex.lock(), semaphore.acquire(), runs.join(), sleep_for(1h),
                              std::move(ready));
            };
            int value = 5;
            EXPECT_EQ((co_await only_waits(tx.send(value))).get<6>(), send_status::sent);
            EXPECT_EQ((co_await only_waits(rx.recv())).get<6>(), 5);
            EXPECT_EQ((co_await only_waits(tx.send(6))).get<6>(), send_status::sent);
            EXPECT_EQ((co_await only_waits(rx.recv())).get<6>(), 6);
            {
                auto won = co_await only_waits(tx.reserve());
                EXPECT_EQ(won.index(), 6U);
                EXPECT_FALSE(tx.try_send(7)) << "the permit has the only place";
                EXPECT_EQ(won.get<6>().send(7), send_status::sent);
                EXPECT_EQ(rx.try_recv(), 7);
            }
            EXPECT_EQ((co_await only_waits(child.join())).get<6>(), "ended");
            EXPECT_EQ((co_await only_waits(sleep_for(0s))).index(), 6U);
            EXPECT_EQ((co_await only_waits(belay::sleep_until(std::chrono::steady_clock::now()))).index(), 6U);
            belay::event set;
            set.set();
            EXPECT_EQ((co_await only_waits(set.wait())).index(), 6U);
            belay::mutex free;
            EXPECT_TRUE((co_await only_waits(free.lock())).get<6>().owns_lock());
            EXPECT_TRUE(free.try_lock().owns_lock()) << "the guard has gone with the result";
            belay::semaphore two{2};
            EXPECT_EQ((co_await only_waits(two.acquire(2))).get<6>().count(), 2U);
            EXPECT_EQ(two.available(), 2U);

            EXPECT_EQ(from_full.try_recv(), 0);
            EXPECT_TRUE(full.try_send(1)) << "no permit is kept";
            locked.unlock();
            EXPECT_TRUE(mutex.try_lock().owns_lock()) << "nobody is in its queue";
            semaphore.release();
            EXPECT_EQ(semaphore.available(), 1U);
            never.set();
            EXPECT_EQ(co_await runs.join(), 1);
        });
    });
}

// ---- each operation, when it has to wait ------------------------------------------------------------------------

TEST_F(Select, AMessageThatArrivesWinsAndTheOtherChannelKeepsIts) {
    auto ends_of_tx1 = belay::channel<int>(1);
    auto& tx1 = ends_of_tx1.first;
    auto& rx1 = ends_of_tx1.second;
    auto ends_of_tx2 = belay::channel<int>(1);
    auto& tx2 = ends_of_tx2.first;
    auto& rx2 = ends_of_tx2.second;
    decide(
        [&]() -> task<> {
            auto &a = rx1, &b = rx2;
            auto won = co_await select(a.recv(), b.recv());
            EXPECT_EQ(won.index(), 1U);
            EXPECT_EQ(won.get<1>(), 8);
            EXPECT_EQ(co_await a.recv(), 9);
        },
        [&]() -> task<> {
            auto& a = tx1;
            auto& b = tx2;
            EXPECT_TRUE(b.try_send(8));
            EXPECT_TRUE(a.try_send(9)) << "after the other has won";
            co_return;
        });
    EXPECT_EQ(rx1.size() + rx2.size(), 0U);
}

TEST_F(Select, RoomThatComesFreeLetsTheSendOrThePermitHappen) {
    auto ends_of_tx1 = belay::channel<int>(1);
    auto& tx1 = ends_of_tx1.first;
    auto& rx1 = ends_of_tx1.second;
    auto ends_of_tx2 = belay::channel<std::unique_ptr<int>>(1);
    auto& tx2 = ends_of_tx2.first;
    auto& rx2 = ends_of_tx2.second;
    EXPECT_TRUE(tx1.try_send(1));
    EXPECT_TRUE(tx2.try_send(nullptr));
    decide(
        [&]() -> task<> {
            auto& a = tx1;
            auto& b = tx2;
            auto value = std::make_unique<int>(3);
            auto first = co_await select(a.reserve(), b.send(value));
            EXPECT_EQ(first.index(), 0U);
            EXPECT_NE(value, nullptr) << "was not sent";
            EXPECT_EQ(first.get<0>().send(2), send_status::sent);
            auto second = co_await select(a.reserve(), b.send(value));
            EXPECT_EQ(second.index(), 1U);
            EXPECT_EQ(second.get<1>(), send_status::sent);
            EXPECT_EQ(value, nullptr);
            EXPECT_EQ((co_await select(a.reserve(), b.send(std::make_unique<int>(4)))).index(), 1U);
        },
        [&]() -> task<> {
            auto& a = rx1;
            auto& b = rx2;
            EXPECT_EQ(a.try_recv(), 1);
            co_await pass();
            EXPECT_EQ(b.try_recv(), nullptr);
            co_await pass();
            EXPECT_EQ(**b.try_recv(), 3);
            co_await pass();
            EXPECT_EQ(**b.try_recv(), 4);
            EXPECT_EQ(a.try_recv(), 2);
        });
    EXPECT_TRUE(tx1.try_send(5)) << "no permit is kept";
}

TEST_F(Select, TheMutexIsHandedToTheSelectOrNotAtAll) {
    belay::mutex mutex;
    belay::event happened;
    auto guard = mutex.try_lock();
    decide(
        [&]() -> task<> {
            {
                auto won = co_await select(mutex.lock(), happened.wait());
                EXPECT_EQ(won.index(), 0U);
                EXPECT_TRUE(won.get<0>().owns_lock());
                EXPECT_FALSE(mutex.try_lock().owns_lock());
                guard = std::move(won).get<0>();
            }
            EXPECT_EQ((co_await select(mutex.lock(), happened.wait())).index(), 1U);
        },
        [&]() -> task<> {
            guard.unlock();
            co_await pass();
            EXPECT_TRUE(guard.owns_lock());
            happened.set();
            guard.unlock();
            EXPECT_TRUE(mutex.try_lock().owns_lock()) << "handed to one that has lost";
            co_return;
        });
}

TEST_F(Select, OneThatHasLostIsPassedOverInTheQueue) {
    belay::mutex mutex;
    belay::event happened;
    auto guard = mutex.try_lock();
    bool second_locked = false;
    decide([&]() -> task<> { EXPECT_EQ((co_await select(mutex.lock(), happened.wait())).index(), 1U); },
           [&]() -> task<> {
               co_await belay::with_scope([&](belay::scope& s) -> task<> {
                   s.spawn([&]() -> task<> {
                       auto mine = co_await mutex.lock();
                       second_locked = true;
                   });
                   co_await pass();
                   happened.set();
                   guard.unlock();
               });
               EXPECT_TRUE(second_locked);
           });
}

TEST_F(Select, PermitsOfASemaphoreAreAcquiredOrNot) {
    belay::semaphore semaphore{1};
    belay::event happened;
    decide(
        [&]() -> task<> {
            EXPECT_EQ((co_await select(semaphore.acquire(2), happened.wait())).get<0>().count(), 2U);
            EXPECT_EQ((co_await select(semaphore.acquire(3), happened.wait())).index(), 1U);
        },
        [&]() -> task<> {
            semaphore.release();
            co_await pass();
            happened.set();
            co_await pass();
            EXPECT_EQ(semaphore.available(), 2U);
        });
}

TEST_F(Select, ALoserAtTheHeadOfASemaphoresQueueLetsThoseBehindItThrough) {
    belay::semaphore semaphore{1};
    belay::event happened;
    bool small = false;
    decide([&]() -> task<> { EXPECT_EQ((co_await select(semaphore.acquire(2), happened.wait())).index(), 1U); },
           [&]() -> task<> {
               co_await belay::with_scope([&](belay::scope& s) -> task<> {
                   s.spawn([&]() -> task<> {
                       (void)co_await semaphore.acquire(1);
                       small = true;
                   });
                   co_await pass();
                   EXPECT_FALSE(small);
                   happened.set();
               });
               EXPECT_TRUE(small);
           });
}

// Each select here is held up by the one before it and holds up the next: one event lets all of them through, without recursion.
TEST_F(Select, AChainOfSelectsThatHoldEachOtherUpIsSettledOneAfterTheOther) {
    static constexpr std::size_t length = belay::test::sanitized ? 2'000 : 20'000;
    runtime.block_on([]() -> task<> {
        std::vector<std::unique_ptr<belay::semaphore>> links;
        for (std::size_t i = 0; i <= length; ++i) links.push_back(std::make_unique<belay::semaphore>(1));
        belay::event happened;
        std::size_t through = 0;
        co_await belay::with_scope([&](belay::scope& s) -> task<> {
            s.spawn([&]() -> task<> { EXPECT_EQ((co_await select(happened.wait(), links[0]->acquire(2))).index(), 0U); });
            co_await pass();
            for (std::size_t i = 0; i < length; ++i) {
                s.spawn([&, i]() -> task<> {
                    EXPECT_EQ((co_await select(biased, links[i]->acquire(1), links[i + 1]->acquire(2))).index(), 0U);
                    ++through;
                });
                co_await pass(2);
            }
            EXPECT_EQ(through, 0U);
            happened.set();
        });
        EXPECT_EQ(through, length);
    });
}

TEST_F(Select, AJoinThatLosesHasConsumedNothing) {
    belay::event happened;
    belay::event may_end;
    decide(
        [&]() -> task<> {
            co_await belay::with_scope([&](belay::scope& s) -> task<> {
                auto child = s.spawn([&]() -> task<std::unique_ptr<int>> {
                    co_await may_end.wait();
                    co_return std::make_unique<int>(4);
                });
                EXPECT_EQ((co_await select(child.join(), happened.wait())).index(), 1U);
                auto won = co_await select(child.join(), sleep_for(1h));
                EXPECT_EQ(won.index(), 0U);
                EXPECT_EQ(*won.get<0>(), 4);
            });
        },
        [&]() -> task<> {
            happened.set();
            co_await pass();
            may_end.set();
        });
}

TEST_F(Select, TheErrorOfAJoinedTaskIsThrown) {
    belay::event go;
    decide(
        [&]() -> task<> {
            try {
                co_await belay::with_scope({.on_error = belay::on_error::isolate}, [&](belay::scope& s) -> task<> {
                    auto child = s.spawn([&]() -> task<int> {
                        co_await go.wait();
                        throw std::runtime_error("broken");
                    });
                    EXPECT_THROW((void)co_await select(child.join(), sleep_for(1h)), std::runtime_error);
                    EXPECT_THROW((void)co_await select(sleep_for(1h), child.join()), std::runtime_error) << "at once, too";
                });
            } catch (const std::exception& e) {
                ADD_FAILURE() << e.what();
            }
        },
        [&]() -> task<> {
            go.set();
            co_return;
        });
}

TEST_F(Select, AStoppedTaskIsJoinedAsStoppedOrAsEmpty) {
    runtime.block_on([]() -> task<> {
        co_await belay::with_scope([](belay::scope&) -> task<> {
            belay::event never;
            belay::join_handle<int> child;
            co_await belay::with_scope([&](belay::scope& inner) -> task<> {
                child = inner.spawn([&]() -> task<int> {
                    co_await never.wait();
                    co_return 1;
                });
                co_await pass();
                inner.request_stop();
            });
            EXPECT_THROW((void)co_await select(child.join(), sleep_for(1h)), belay::task_stopped);
            EXPECT_EQ((co_await select(child.join_optional(), sleep_for(1h))).get<0>(), std::nullopt);
        });
    });
}

TEST_F(Select, TheEarlierTimerWins) {
    runtime.block_on([]() -> task<> {
        auto before = std::chrono::steady_clock::now();
        EXPECT_EQ((co_await select(sleep_for(1h), sleep_for(2ms), belay::sleep_until(before + 1h))).index(), 1U);
        EXPECT_GE(std::chrono::steady_clock::now() - before, 2ms);
    });
}

// ---- which one --------------------------------------------------------------------------------------------------

TEST_F(Select, OfTwoThatAreAlwaysReadyEachWinsAtTimes) {
    runtime.block_on([]() -> task<> {
        auto [tx1, rx1] = belay::channel<int>(1000);
        auto [tx2, rx2] = belay::channel<int>(1000);
        for (int i = 0; i < 1000; ++i) {
            EXPECT_TRUE(tx1.try_send(i));
            EXPECT_TRUE(tx2.try_send(i));
        }
        std::size_t wins[2] = {};
        for (int i = 0; i < 1000; ++i) ++wins[(co_await select(rx1.recv(), rx2.recv())).index()];
        EXPECT_GE(wins[0], 1U);
        EXPECT_GE(wins[1], 1U);
        EXPECT_EQ(rx1.size(), 1000 - wins[0]) << "exactly one message a select";
        EXPECT_EQ(rx2.size(), 1000 - wins[1]);
    });
}

TEST_F(Select, BiasedTriesInTheOrderInWhichTheyAreWritten) {
    runtime.block_on([]() -> task<> {
        auto [tx, rx] = belay::channel<int>(1);
        belay::event set;
        set.set();
        for (int i = 0; i < 200; ++i) {
            EXPECT_TRUE(tx.try_send(i));
            EXPECT_EQ((co_await select(biased, set.wait(), rx.recv())).index(), 0U);
            EXPECT_EQ((co_await select(biased, rx.recv(), set.wait())).get<0>(), i);
            EXPECT_EQ((co_await select(biased, rx.recv(), sleep_for(0s))).index(), 1U) << "a select that does not wait";
        }
    });
}

TEST_F(Select, OneOperationAloneIsJustThat) {
    runtime.block_on([]() -> task<> {
        auto [tx, rx] = belay::channel<int>(1);
        EXPECT_TRUE(tx.try_send(1));
        EXPECT_EQ((co_await select(rx.recv())).get<0>(), 1);
        EXPECT_EQ((co_await select(sleep_for(1ms))).index(), 0U);
    });
}

TEST_F(Select, TheSameSourceMayBeGivenTwice) {
    belay::mutex mutex;
    belay::event happened;
    auto guard = mutex.try_lock();
    auto ends_of_tx = belay::channel<int>(1);
    auto& tx = ends_of_tx.first;
    auto& rx = ends_of_tx.second;
    EXPECT_TRUE(tx.try_send(0));
    decide(
        [&]() -> task<> {
            EXPECT_LE((co_await select(mutex.lock(), mutex.lock())).index(), 1U);
            EXPECT_LE((co_await select(happened.wait(), happened.wait())).index(), 1U);
            EXPECT_TRUE((co_await select(tx.reserve(), tx.send(3))).index() <= 1);
        },
        [&]() -> task<> {
            guard.unlock();
            co_await pass();
            EXPECT_TRUE(mutex.try_lock().owns_lock()) << "locked once, and unlocked";
            happened.set();
            co_await pass();
            EXPECT_EQ(rx.try_recv(), 0);
            co_await pass();
            (void)rx.try_recv();
            EXPECT_TRUE(tx.try_send(1));
            EXPECT_FALSE(tx.try_send(2)) << "exactly one place was given, and given back";
        });
}

TEST_F(Select, BothEndsOfOneChannelMayBeGiven) {
    auto ends_of_tx = belay::channel<int>(1);
    auto& tx = ends_of_tx.first;
    auto& rx = ends_of_tx.second;
    belay::permit<int> only;
    runtime.block_on([&]() -> task<> { only = co_await tx.reserve(); });
    decide(
        [&]() -> task<> {
            EXPECT_EQ((co_await select(rx.recv(), tx.send(1))).index(), 1U);
            EXPECT_EQ(co_await rx.recv(), 1);
        },
        [&]() -> task<> {
            auto gone = std::move(only);
            co_return;
        });
}

// ---- results ----------------------------------------------------------------------------------------------------

TEST_F(Select, VisitCallsTheFunctionOfTheOneThatHappened) {
    runtime.block_on([]() -> task<> {
        auto [tx, rx] = belay::channel<std::unique_ptr<int>>(1);
        belay::event set;
        auto describe = [&](auto&& won) {
            return std::forward<decltype(won)>(won).visit(
                [](std::optional<std::unique_ptr<int>> m) { return "message " + std::to_string(**m); },
                [] { return std::string("event"); });
        };
        EXPECT_TRUE(tx.try_send(std::make_unique<int>(3)));
        EXPECT_EQ(describe(co_await select(rx.recv(), set.wait())), "message 3");
        set.set();
        EXPECT_EQ(describe(co_await select(rx.recv(), set.wait())), "event");
    });
}

TEST_F(Select, AskingForAResultThatIsNotThereIsAnError) {
    runtime.block_on([]() -> task<> {
        auto [tx, rx] = belay::channel<int>(1);
        auto won = co_await select(rx.recv(), sleep_for(0s));
        EXPECT_THROW((void)won.get<0>(), std::bad_variant_access);
        EXPECT_EQ(won.get_if<0>(), nullptr);
        EXPECT_TRUE(tx.try_send(1));
        won = co_await select(rx.recv(), sleep_for(1h));
        EXPECT_NE(won.get_if<0>(), nullptr);
    });
}

TEST_F(Select, AJoinedReferenceIsKeptAsOne) {
    int object = 1;
    runtime.block_on([&]() -> task<> {
        co_await belay::with_scope([&](belay::scope& s) -> task<> {
            auto child = s.spawn([&]() -> task<int&> { co_return object; });
            auto won = co_await select(child.join(), sleep_for(1h));
            EXPECT_EQ(&won.get<0>().get(), &object);
        });
    });
}

// ---- channels that close ----------------------------------------------------------------------------------------

TEST_F(Select, ACloseIsSeenByTheSelectThatWaitsForAPermit) {
    auto ends_of_tx = belay::channel<int>(1);
    auto& tx = ends_of_tx.first;
    auto& rx = ends_of_tx.second;
    EXPECT_TRUE(tx.try_send(1));
    decide(
        [&]() -> task<> {
            auto won = co_await select(tx.reserve(), sleep_for(1h));
            EXPECT_EQ(won.index(), 0U);
            EXPECT_FALSE(won.get<0>()) << "closed: an empty permit";
            EXPECT_EQ((co_await select(tx.send(2), sleep_for(1h))).get<0>(), send_status::closed);
        },
        [&]() -> task<> {
            rx.close();
            co_return;
        });
    EXPECT_EQ(rx.try_recv(), 1);
    EXPECT_EQ(rx.size(), 0U);
}

TEST_F(Select, ACloseThatComesAfterAnotherHasWonChangesNothing) {
    auto ends_of_tx = belay::channel<int>(1);
    auto& tx = ends_of_tx.first;
    auto& rx = ends_of_tx.second;
    EXPECT_TRUE(tx.try_send(1));
    belay::event happened;
    decide([&]() -> task<> { EXPECT_EQ((co_await select(tx.reserve(), happened.wait())).index(), 1U); },
           [&]() -> task<> {
               happened.set();
               rx.close();
               co_return;
           });
}

TEST_F(Select, TheLastSenderThatGoesEndsTheStreamOfASelect) {
    auto ends_of_tx = belay::channel<int>(1);
    auto& tx = ends_of_tx.first;
    auto& rx = ends_of_tx.second;
    decide(
        [&]() -> task<> {
            auto won = co_await select(rx.recv(), sleep_for(1h));
            EXPECT_EQ(won.index(), 0U);
            EXPECT_EQ(won.get<0>(), std::nullopt);
        },
        [&]() -> task<> {
            auto last = std::move(tx);
            co_return;
        });
}

TEST_F(Select, APermitThatIsReturnedAfterTheCloseEndsTheStreamOfASelect) {
    auto ends_of_tx = belay::channel<int>(1);
    auto& tx = ends_of_tx.first;
    auto& rx = ends_of_tx.second;
    belay::permit<int> out;
    runtime.block_on([&]() -> task<> { out = co_await tx.reserve(); });
    decide([&]() -> task<> { EXPECT_EQ((co_await select(rx.recv(), sleep_for(1h))).get<0>(), std::nullopt); },
           [&]() -> task<> {
               tx.close();
               co_await pass();
               auto gone = std::move(out);
           });
}

TEST_F(Select, TheReceiverThatGoesIsSeenByTheSelectThatSends) {
    auto ends_of_tx = belay::channel<std::unique_ptr<int>>(1);
    auto& tx = ends_of_tx.first;
    auto& rx = ends_of_tx.second;
    EXPECT_TRUE(tx.try_send(nullptr));
    decide(
        [&]() -> task<> {
            auto value = std::make_unique<int>(1);
            EXPECT_EQ((co_await select(tx.send(value), tx.reserve(), sleep_for(1h))).index() <= 1, true);
            EXPECT_NE(value, nullptr);
        },
        [&]() -> task<> {
            auto gone = std::move(rx);
            co_return;
        });
}

// ---- stops ------------------------------------------------------------------------------------------------------

TEST_F(Select, AStopLeavesEverythingAsItWas) {
    auto ends_of_tx = belay::channel<int>(1);
    auto& tx = ends_of_tx.first;
    auto& rx = ends_of_tx.second;
    auto ends_of_full = belay::channel<std::unique_ptr<int>>(1);
    auto& full = ends_of_full.first;
    auto& from_full = ends_of_full.second;
    EXPECT_TRUE(full.try_send(nullptr));
    belay::mutex mutex;
    auto guard = mutex.try_lock();
    belay::semaphore none{0};
    belay::event never;
    auto value = std::make_unique<int>(1);
    runtime.block_on([&]() -> task<> {
        co_await belay::with_scope([&](belay::scope& outer) -> task<> {
            auto runs = outer.spawn([&]() -> task<> { co_await never.wait(); });
            co_await belay::with_scope([&](belay::scope& s) -> task<> {
                s.spawn([&]() -> task<> {
                    (void)co_await select(rx.recv(), full.send(value), full.reserve(), mutex.lock(), none.acquire(), never.wait(),
                                          runs.join(), sleep_for(1h));
                    ADD_FAILURE() << "goes on after a stop";
                });
                co_await pass();
                s.request_stop();
            });
            never.set();
            co_await runs.join();
        });
    });
    EXPECT_NE(value, nullptr);
    EXPECT_TRUE(tx.try_send(2));
    EXPECT_EQ(rx.size(), 1U);
    EXPECT_EQ(from_full.try_recv(), nullptr);
    EXPECT_EQ(from_full.size(), 0U);
    EXPECT_TRUE(full.try_send(nullptr));
    guard.unlock();
    EXPECT_TRUE(mutex.try_lock().owns_lock());
    none.release();
    EXPECT_EQ(none.available(), 1U);
}

TEST_F(Select, InAStoppedScopeNothingIsRegistered) {
    auto ends_of_tx = belay::channel<int>(1);
    auto& tx = ends_of_tx.first;
    auto& rx = ends_of_tx.second;
    runtime.block_on([&]() -> task<> {
        co_await belay::with_scope([&](belay::scope& s) -> task<> {
            s.request_stop();
            EXPECT_TRUE(tx.try_send(1));
            EXPECT_EQ((co_await select(rx.recv(), sleep_for(1h))).get<0>(), 1) << "what is there already may happen";
            (void)co_await select(rx.recv(), sleep_for(1h));
            ADD_FAILURE() << "goes on after a stop";
        });
    });
}

TEST_F(Select, WhatHappenedBeforeTheStopIsDelivered) {
    auto ends_of_tx = belay::channel<int>(1);
    auto& tx = ends_of_tx.first;
    auto& rx = ends_of_tx.second;
    bool delivered = false;
    runtime.block_on([&]() -> task<> {
        co_await belay::with_scope([&](belay::scope& s) -> task<> {
            s.spawn([&]() -> task<> {
                EXPECT_EQ((co_await select(rx.recv(), sleep_for(1h))).get<0>(), 1);
                delivered = true;
                co_await belay::yield();
                ADD_FAILURE() << "goes on after a stop";
            });
            co_await pass();
            EXPECT_TRUE(tx.try_send(1));
            s.request_stop();
        });
    });
    EXPECT_TRUE(delivered);
}

TEST_F(Select, ATimeoutAroundItThrowsAndItsDeadlineIsTheTasks) {
    runtime.block_on([]() -> task<> {
        auto [tx, rx] = belay::channel<int>(1);
        auto selecting = [](belay::receiver<int>& from) -> task<> {
            EXPECT_TRUE(belay::this_task::deadline().has_value());
            (void)co_await select(from.recv(), belay::sleep_until(*belay::this_task::deadline() + 1h));
        };
        EXPECT_THROW(co_await belay::timeout(2ms, selecting(rx)), belay::deadline_exceeded);
        auto until_deadline = [](belay::receiver<int>& from) -> task<std::size_t> {
            co_return (co_await select(from.recv(), belay::sleep_until(*belay::this_task::deadline() - 1h))).index();
        };
        EXPECT_EQ(co_await belay::timeout(1h, until_deadline(rx)), 1U);
        EXPECT_TRUE(tx.try_send(1)) << "the receiver does not wait any more";
        EXPECT_EQ(rx.size(), 1U);
    });
}

TEST_F(Select, IsABranchOfWhenAny) {
    runtime.block_on([]() -> task<> {
        auto [tx, rx] = belay::channel<int>(1);
        auto won = co_await belay::when_any(select(rx.recv(), sleep_for(1h)), sleep_for(1ms));
        EXPECT_EQ(won.index, 1U);
        EXPECT_TRUE(tx.try_send(1));
        EXPECT_EQ(rx.size(), 1U) << "the branch that was stopped waits no more";
    });
}

TEST_F(Select, OneThatNeverWaitsSpendsBudget) {
    runtime.block_on([]() -> task<> {
        belay::event set;
        set.set();
        bool other = false;
        co_await belay::with_scope([&](belay::scope& s) -> task<> {
            s.spawn([&]() -> task<> {
                other = true;
                co_return;
            });
            for (int i = 0; i < 1000 && !other; ++i) EXPECT_EQ((co_await select(set.wait(), sleep_for(1h))).index(), 0U);
            EXPECT_TRUE(other) << "the loop kept the worker for itself";
        });
    });
}

// ---- misuse -----------------------------------------------------------------------------------------------------

using SelectDeathTest = Select;

TEST_F(SelectDeathTest, OneReceiverGivenTwiceIsNamed) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_DEATH(runtime.block_on([]() -> task<> {
        auto [tx, rx] = belay::channel<int>(1);
        (void)co_await select(rx.recv(), rx.recv());
    }),
                 "select\\(\\) was given recv\\(\\) of the same receiver twice");
}

TEST_F(SelectDeathTest, OneJoinGivenTwiceIsNamed) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_DEATH(runtime.block_on([]() -> task<> {
        co_await belay::with_scope([](belay::scope& s) -> task<> {
            auto child = s.spawn([]() -> task<> { co_await sleep_for(1h); });
            (void)co_await select(child.join(), child.join());
        });
    }),
                 "select\\(\\) was given join\\(\\) of the same task twice");
}

}  // namespace
