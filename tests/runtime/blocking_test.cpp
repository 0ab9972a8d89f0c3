// Blocking pools: promise 5 (bounded on both sides), promise 2 (a function that has not started never will, one that has
// started delivers) and promise 10.
#include <belay/runtime/blocking.hpp>
#include <belay/runtime/scope.hpp>
#include <belay/runtime/timeout.hpp>
#include <belay/runtime/when_any.hpp>
#include <belay/tests/runtime/support.hpp>

#include <latch>
#include <semaphore>
#include <stop_token>

namespace belay {
namespace {

using namespace test;

class Blocking : public Suite {
protected:
    runtime rt{options()};
};

TEST_F(Blocking, ReturnsValuesErrorsReferencesAndMoveOnlyResults) {
    int n = 0;
    rt.block_on([&]() -> task<> {
        EXPECT_EQ(co_await spawn_blocking([] { return 5; }), 5);
        co_await spawn_blocking([&] { n = 7; });
        EXPECT_EQ(n, 7);
        auto p = co_await spawn_blocking([owned = std::make_unique<int>(8)]() mutable { return std::move(owned); });
        EXPECT_EQ(*p, 8);
        int& r = co_await spawn_blocking([&]() -> int& { return n; });
        EXPECT_EQ(&r, &n);
        EXPECT_THROW(co_await spawn_blocking([]() -> int { throw std::runtime_error("function"); }), std::runtime_error);
    });
}

TEST_F(Blocking, RunsOnAThreadThatIsNoWorker) {
    rt.block_on([&]() -> task<> {
        auto here = std::this_thread::get_id();
        auto there = co_await spawn_blocking([] { return std::this_thread::get_id(); });
        EXPECT_NE(here, there);
    });
}

TEST_F(Blocking, MakesThreadsUpToItsLimitAndNoMore) {
    std::atomic<int> running{0}, most{0};
    std::latch all_in{4};
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            for (int i = 0; i < 40; ++i) {
                s.spawn([&, i]() -> task<> {
                    co_await spawn_blocking([&, i] {
                        int now = ++running;
                        for (int seen = most; now > seen && !most.compare_exchange_weak(seen, now);) {}
                        if (i < 4) all_in.arrive_and_wait();  // ends only if four run at once
                        --running;
                    });
                });
                if (i == 3) co_await until([&] { return most >= 4; });
            }
            co_return;
        });
    });
    EXPECT_EQ(most, 4);
}

TEST_F(Blocking, AFullQueueSuspendsTheCaller) {
    std::counting_semaphore<> go{0};
    std::atomic<int> ran{0};
    rt.block_on([&]() -> task<> {
        blocking_pool pool{rt, {.name = "small", .max_threads = 1, .max_queued = 2}};
        co_await with_scope([&](scope& s) -> task<> {
            for (int i = 0; i < 10; ++i) {
                s.spawn([&]() -> task<> {
                    co_await pool.run([&] {
                        go.acquire();
                        ++ran;
                    });
                });
            }
            co_await until([&] {
                auto m = pool.metrics();
                return m.queued == 2 && m.waiting == 7;
            });
            go.release(10);
        });
        EXPECT_EQ(ran, 10);
        auto m = pool.metrics();
        EXPECT_EQ(m.name, "small");
        EXPECT_EQ(m.queued, 0U);
        EXPECT_EQ(m.waiting, 0U);
    });
}

TEST_F(Blocking, AStopTakesOutWhatHasNotStartedAndWaitsForWhatHas) {
    std::binary_semaphore go{0};
    std::atomic<int> ran{0};
    std::atomic<bool> delivered{false};
    std::atomic<bool> started{false};
    rt.block_on([&]() -> task<> {
        blocking_pool pool{rt, {.name = "one", .max_threads = 1, .max_queued = 2}};
        co_await with_scope([&](scope& s) -> task<> {
            s.spawn([&]() -> task<> {
                int n = co_await pool.run([&] {
                    started = true;
                    go.acquire();
                    return 42;
                });
                delivered = n == 42;  // it happened, so it is delivered although the scope was stopped meanwhile
                co_await yield();
                ADD_FAILURE() << "the stop was swallowed";
            });
            co_await until([&] { return started.load(); });
            for (int i = 0; i < 6; ++i) {
                s.spawn([&]() -> task<> {
                    co_await pool.run([&] { ++ran; });
                    ADD_FAILURE() << "went on after a stop";
                });
            }
            co_await until([&] {
                auto m = pool.metrics();
                return m.queued == 2 && m.waiting == 4;
            });
            s.request_stop();
            auto m = pool.metrics();
            EXPECT_EQ(m.queued + m.waiting, 0U);
            go.release();
        });
    });
    EXPECT_TRUE(delivered);
    EXPECT_EQ(ran, 0);
}

TEST_F(Blocking, AnErrorOfAStartedFunctionIsDeliveredAfterAStop) {
    std::binary_semaphore go{0};
    std::atomic<bool> started{false}, caught{false};
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            s.spawn([&]() -> task<> {
                try {
                    co_await spawn_blocking([&] {
                        started = true;
                        go.acquire();
                        throw std::runtime_error("late");
                    });
                } catch (const std::runtime_error&) {
                    caught = true;
                }
            });
            co_await until([&] { return started.load(); });
            s.request_stop();
            go.release();
        });
    });
    EXPECT_TRUE(caught);
}

TEST_F(Blocking, InAStoppedScopeNothingIsSubmitted) {
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            s.request_stop();
            co_await spawn_blocking([] { ADD_FAILURE() << "ran in a stopped scope"; });
        });
    });
}

TEST_F(Blocking, IdleThreadsEndAfterTheirKeepAlive) {
    rt.block_on([&]() -> task<> {
        blocking_pool pool{rt, {.name = "brief", .keep_alive = 1ms}};
        co_await pool.run([] {});
        co_await until([&] { return pool.metrics().threads == 0; });
        co_await pool.run([] {});
        co_await until([&] { return pool.metrics().completed == 2; });
    });
}

TEST_F(Blocking, AKeepAliveOfZeroServesEveryCall) {
    std::atomic<int> ran{0};
    rt.block_on([&]() -> task<> {
        blocking_pool pool{rt, {.name = "zero", .max_threads = 2, .keep_alive = 0ms}};
        for (int i = 0; i < 200; ++i) co_await pool.run([&] { ++ran; });
    });
    EXPECT_EQ(ran, 200);
}

TEST_F(Blocking, TheOptionsAreValidatedByName) {
    auto message = [&](const blocking_options& o) -> std::string {
        try {
            blocking_pool pool{rt, o};
            return "";
        } catch (const std::invalid_argument& e) {
            return e.what();
        }
    };
    EXPECT_NE(message({.max_threads = 0}).find("max_threads"), std::string::npos);
    EXPECT_NE(message({.max_queued = 0}).find("max_queued"), std::string::npos);
    EXPECT_NE(message({.keep_alive = -1ms}).find("keep_alive"), std::string::npos);
    EXPECT_EQ(message({.name = "forever", .keep_alive = std::chrono::milliseconds::max()}), "");
}

TEST_F(Blocking, AKeepAliveOfForEverWorks) {
    blocking_pool pool{rt, {.name = "forever", .keep_alive = std::chrono::milliseconds::max()}};
    for (int i = 0; i < 3; ++i) EXPECT_EQ(rt.block_on([&]() -> task<int> { co_return co_await pool.run([] { return 1; }); }), 1);
    EXPECT_GE(pool.metrics().threads, 1U);
}

TEST_F(Blocking, AClosedPoolRefusesWithAnErrorThatNamesIt) {
    blocking_pool pool{rt, {.name = "closed-pool"}};
    pool.close(0);
    rt.block_on([&]() -> task<> {
        try {
            co_await pool.run([] {});
            ADD_FAILURE() << "no error";
        } catch (const std::system_error& e) {
            EXPECT_NE(std::string(e.what()).find("closed-pool"), std::string::npos);
        }
    });
}

// Stops race with submission, with the queue, with the start and with the end of functions.
TEST_F(Blocking, StopsAndCallsRaceAndEachCallEndsExactlyOnce) {
    blocking_pool pool{rt, {.name = "race", .max_threads = 2, .max_queued = 2, .keep_alive = 0ms}};
    std::atomic<int> started{0}, delivered{0}, live{0};
    for (int round = 0; round < (sanitized ? 60 : 300); ++round) {
        rt.block_on([&]() -> task<> {
            co_await with_scope([&](scope& s) -> task<> {
                for (int i = 0; i < 8; ++i) {
                    s.spawn([&]() -> task<> {
                        for (;;) {
                            counted here{live};
                            co_await pool.run([&, held = counted{live}] { ++started; });
                            ++delivered;
                        }
                    });
                }
                for (int i = 0; i < round % 16; ++i) co_await yield();
                s.request_stop();
            });
        });
    }
    EXPECT_EQ(started, delivered);
    EXPECT_EQ(live, 0);
}

// ---- stop tokens -------------------------------------------------------------------------------------------------

TEST_F(Blocking, AFunctionThatTakesATokenHearsOfTheStopAndItsValueIsDelivered) {
    std::atomic<bool> started{false}, delivered{false};
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            s.spawn([&]() -> task<> {
                int n = co_await spawn_blocking([&](std::stop_token stop) {
                    started = true;
                    while (!stop.stop_requested()) std::this_thread::yield();  // ends by itself once it is told
                    return 42;
                });
                delivered = n == 42;
                co_await yield();
                ADD_FAILURE() << "the stop was swallowed";
            });
            co_await until([&] { return started.load(); });
            s.request_stop();
        });
    });
    EXPECT_TRUE(delivered);
}

TEST_F(Blocking, ADeadlineReachesTheTokenOfARunningFunction) {
    rt.block_on([&]() -> task<> {
        std::optional<int> n;
        // A deadline that comes before the start stops the call itself: on a busy machine a longer one.
        for (auto limit = 1ms; !n && limit < 60s; limit *= 4) {
            n = co_await try_timeout(limit, spawn_blocking([](std::stop_token stop) {
                                         while (!stop.stop_requested()) std::this_thread::yield();
                                         return 3;
                                     }));
        }
        EXPECT_EQ(n, 3);  // it won: it had started
    });
}

TEST_F(Blocking, AFunctionMayIgnoreItsTokenAndWithoutAStopItIsNotAsked) {
    rt.block_on([&]() -> task<> {
        EXPECT_FALSE(co_await spawn_blocking([](std::stop_token stop) { return stop.stop_requested(); }));
        EXPECT_TRUE(co_await spawn_blocking([](std::stop_token stop) { return stop.stop_possible(); }));
    });
}

TEST_F(Blocking, StopCallbacksRunWhenTheStopIsRequested) {
    std::binary_semaphore told{0};
    std::atomic<bool> started{false};
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            s.spawn([&]() -> task<> {
                co_await spawn_blocking([&](std::stop_token stop) {
                    std::stop_callback wake{stop, [&] { told.release(); }};
                    started = true;
                    told.acquire();
                });
            });
            co_await until([&] { return started.load(); });
            s.request_stop();
        });
    });
}

TEST_F(Blocking, AStopCallbackMayStopFurtherScopes) {
    std::atomic<int> started{0}, told{0};
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& outer) -> task<> {
            co_await with_scope([&](scope& s) -> task<> {
                for (int i = 0; i < 3; ++i) {
                    s.spawn([&]() -> task<> {
                        co_await spawn_blocking([&](std::stop_token stop) {
                            std::stop_callback more{stop, [&] { outer.request_stop(); }};
                            ++started;
                            while (!stop.stop_requested()) std::this_thread::yield();
                            ++told;
                        });
                    });
                }
                co_await until([&] { return started == 3; });
                s.request_stop();
            });
        });
    });
    EXPECT_EQ(told, 3);
}

TEST_F(Blocking, TokensAndStopsRaceAndEachCallEndsExactlyOnce) {
    blocking_pool pool{rt, {.name = "race", .max_threads = 2, .max_queued = 2}};
    std::atomic<int> started{0}, delivered{0}, live{0};
    for (int round = 0; round < (sanitized ? 60 : 300); ++round) {
        rt.block_on([&]() -> task<> {
            co_await with_scope([&](scope& s) -> task<> {
                for (int i = 0; i < 8; ++i) {
                    s.spawn([&]() -> task<> {
                        for (;;) {
                            co_await pool.run([&, held = counted{live}](std::stop_token stop) {
                                ++started;
                                std::stop_callback noticed{stop, [&] { (void)live.load(); }};
                                for (int spin = 0; spin < 50 && !stop.stop_requested(); ++spin) std::this_thread::yield();
                            });
                            ++delivered;
                        }
                    });
                }
                for (int i = 0; i < round % 16; ++i) co_await yield();
                s.request_stop();
            });
        });
    }
    EXPECT_EQ(started, delivered);
    EXPECT_EQ(live, 0);
}

// ---- full queues and limited waits ---------------------------------------------------------------------------------

/// Keeps the only thread of a pool busy until `go`, then fills its queue of one.
class FullPool : public Blocking {
protected:
    task<> fill(scope& s, blocking_pool& pool) {
        s.spawn([&]() -> task<> {
            co_await pool.run([&] {
                busy = true;
                go.acquire();
            });
        });
        co_await until([&] { return busy.load(); });
        s.spawn([&]() -> task<> { co_await pool.run([&] { ++queued_ran; }); });
        co_await until([&] { return pool.metrics().queued == 1; });
    }
    std::atomic<bool> busy{false};
    std::atomic<int> queued_ran{0};
    std::binary_semaphore go{0};
};

TEST_F(FullPool, ACallThatRejectsThrowsAnErrorThatNamesThePoolAndTheRemedy) {
    rt.block_on([&]() -> task<> {
        blocking_pool pool{rt, {.name = "db", .max_threads = 1, .max_queued = 1}};
        co_await with_scope([&](scope& s) -> task<> {
            co_await fill(s, pool);
            try {
                co_await pool.run([] { ADD_FAILURE() << "ran"; }, {.when_full = when_full::reject});
                ADD_FAILURE() << "no error";
            } catch (const blocking_queue_full& e) {
                EXPECT_NE(std::string(e.what()).find("'db'"), std::string::npos);
                EXPECT_NE(std::string(e.what()).find("raise max_queued"), std::string::npos);
            }
            EXPECT_EQ(pool.metrics().rejected, 1U);
            EXPECT_EQ(pool.metrics().running, 1U);
            go.release();
        });
        EXPECT_EQ(queued_ran, 1);
        EXPECT_EQ(co_await pool.run([] { return 1; }, {.when_full = when_full::reject}), 1);  // there is room again
    });
}

TEST_F(FullPool, APoolThatRejectsMayBeToldToWaitByTheCall) {
    rt.block_on([&]() -> task<> {
        blocking_pool pool{rt, {.name = "db", .max_threads = 1, .max_queued = 1, .when_full = when_full::reject}};
        co_await with_scope([&](scope& s) -> task<> {
            co_await fill(s, pool);
            EXPECT_THROW(co_await pool.run([] { ADD_FAILURE() << "ran"; }), blocking_queue_full);
            s.spawn([&]() -> task<> { co_await pool.run([&] { ++queued_ran; }, {.when_full = when_full::suspend}); });
            co_await until([&] { return pool.metrics().waiting == 1; });
            go.release();
        });
        EXPECT_EQ(queued_ran, 2);
    });
}

TEST_F(Blocking, AnIdleThreadIsRoomForACallThatRejects) {
    std::latch all_in{4};
    rt.block_on([&]() -> task<> {
        blocking_pool pool{rt, {.name = "idle", .max_threads = 4, .max_queued = 1, .when_full = when_full::reject}};
        co_await with_scope([&](scope& s) -> task<> {
            for (int i = 0; i < 4; ++i) s.spawn([&]() -> task<> { co_await pool.run([&] { all_in.arrive_and_wait(); }); });
            co_return;
        });
    });
}

TEST_F(FullPool, AFunctionThatHasNotStartedWithinMaxWaitNeverWill) {
    rt.block_on([&]() -> task<> {
        blocking_pool pool{rt, {.name = "slow", .max_threads = 1, .max_queued = 1, .max_wait = 1ms}};
        co_await with_scope([&](scope& s) -> task<> {
            co_await with_scope([&](scope& inner) -> task<> {
                inner.spawn([&]() -> task<> {
                    co_await pool.run(
                        [&] {
                            busy = true;
                            go.acquire();
                        },
                        {.max_wait = 1h});
                });
                co_await until([&] { return busy.load(); });
                auto expires = [&]() -> task<> {
                    try {
                        co_await pool.run([] { ADD_FAILURE() << "ran"; });
                        ADD_FAILURE() << "no error";
                    } catch (const blocking_wait_exceeded& e) {
                        EXPECT_NE(std::string(e.what()).find("'slow'"), std::string::npos);
                    }
                };
                for (int i = 0; i < 3; ++i) inner.spawn(expires);  // in the queue, and waiting for room
                co_await until([&] { return pool.metrics().expired == 3; });
                EXPECT_EQ(pool.metrics().queued + pool.metrics().waiting, 0U);
                go.release();
            });
            co_await pool.run([&] { ++queued_ran; }, {.max_wait = 1h});
            s.request_stop();
        });
        EXPECT_EQ(queued_ran, 1);
    });
}

TEST_F(Blocking, MaxWaitDoesNotEndAFunctionThatHasStarted) {
    auto armed = [&] {
        std::size_t timers = 0;
        for (const auto& w : rt.metrics().workers) timers += w.timers;
        return timers;
    };
    rt.block_on([&]() -> task<> {
        for (int n = 0; n == 0;) {
            try {
                n = co_await spawn_blocking(
                    [&] {
                        while (armed() != 0) std::this_thread::yield();  // the limit passes while it runs
                        return 6;
                    },
                    {.max_wait = 1ms});
                EXPECT_EQ(n, 6);
            } catch (const blocking_wait_exceeded&) {
                // no CPU for the pool's thread within 1 ms: once more
            }
        }
    });
}

TEST_F(Blocking, AMaxWaitThatIsNotPositiveIsRefusedByName) {
    EXPECT_THROW((void)spawn_blocking([] {}, {.max_wait = 0ms}), std::invalid_argument);
    EXPECT_THROW((blocking_pool{rt, {.max_wait = -1ms}}), std::invalid_argument);
}

TEST_F(FullPool, AnEnclosingDeadlineStopsAFunctionThatHasNotStarted) {
    rt.block_on([&]() -> task<> {
        blocking_pool pool{rt, {.name = "slow", .max_threads = 1, .max_queued = 1}};
        co_await with_scope([&](scope& s) -> task<> {
            co_await fill(s, pool);
            EXPECT_THROW(co_await timeout(1ms, pool.run([] { ADD_FAILURE() << "ran"; })), deadline_exceeded);
            EXPECT_EQ(pool.metrics().expired, 0U);
            go.release();
        });
    });
}

// The limit, stops, the start and the end of functions race.
TEST_F(Blocking, LimitsAndStopsRaceAndEachCallEndsExactlyOnce) {
    blocking_pool pool{rt, {.name = "race", .max_threads = 2, .max_queued = 2, .keep_alive = 0ms, .max_wait = 100us}};
    std::atomic<int> started{0}, delivered{0}, live{0};
    std::atomic<std::uint64_t> expired{0};
    for (int round = 0; round < (sanitized ? 60 : 300); ++round) {
        rt.block_on([&]() -> task<> {
            co_await with_scope([&](scope& s) -> task<> {
                for (int i = 0; i < 8; ++i) {
                    s.spawn([&]() -> task<> {
                        for (;;) {
                            counted here{live};
                            try {
                                co_await pool.run([&, held = counted{live}] {
                                    ++started;
                                    for (int spin = 0; spin < 20; ++spin) std::this_thread::yield();
                                });
                                ++delivered;
                            } catch (const blocking_wait_exceeded&) {
                                ++expired;
                            }
                        }
                    });
                }
                for (int i = 0; i < 10 * (round % 32); ++i) co_await yield();
                s.request_stop();
            });
        });
    }
    EXPECT_EQ(started, delivered);
    EXPECT_LE(expired, pool.metrics().expired);
    EXPECT_EQ(live, 0);
}

TEST_F(Blocking, PoolsOfTheUserAreAmongTheMetricsOfTheRuntime) {
    blocking_pool pool{rt, {.name = "mine", .max_threads = 1}};
    rt.block_on([&]() -> task<> {
        co_await pool.run([] {});
        co_await until([&] { return pool.metrics().completed == 1; });
    });
    auto all = rt.metrics().pools;
    ASSERT_EQ(all.size(), 2U);
    EXPECT_EQ(all[0].name, "blocking");
    EXPECT_EQ(all[1].name, "mine");
    EXPECT_EQ(all[1].completed, 1U);
    EXPECT_GT(all[1].run_ns, 0U);
    EXPECT_EQ(all[1].running, 0U);
}

}  // namespace
}  // namespace belay
