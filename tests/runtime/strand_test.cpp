// Strands: serialised, in order, each awaited by its caller. The state that the tests share is plain: ThreadSanitizer holds the
// promise that each function happens before the next.
#include <belay/runtime/strand.hpp>

#include <belay/runtime/shield.hpp>
#include <belay/runtime/this_task.hpp>
#include <belay/runtime/timeout.hpp>
#include <belay/runtime/when_all.hpp>
#include <belay/tests/runtime/support.hpp>

#include <memory>
#include <semaphore>
#include <string>

namespace belay {
namespace {

using namespace test;

class Strand : public Suite {
protected:
    runtime rt{options(2)};
};

/// Spawns a task that holds the strand until the gate opens, and waits until it does.
task<> occupy(scope& s, strand& on, gate& release) {
    auto held = std::make_shared<std::atomic<bool>>(false);
    s.spawn([&on, &release, held]() -> task<> {
        co_await on.run([&]() -> task<> {
            *held = true;
            co_await release.wait();
        });
    });
    co_await until([&] { return held->load(); });
}

TEST_F(Strand, ReturnsValuesErrorsReferencesAndMoveOnlyResults) {
    strand on;
    int n = 0;
    rt.block_on([&]() -> task<> {
        EXPECT_EQ(co_await on.run([] { return 5; }), 5);
        co_await on.run([&] { n = 7; });
        EXPECT_EQ(n, 7);
        auto p = co_await on.run([owned = std::make_unique<int>(8)]() mutable { return std::move(owned); });
        EXPECT_EQ(*p, 8);
        int& r = co_await on.run([&]() -> int& { return n; });
        EXPECT_EQ(&r, &n);
        EXPECT_THROW(co_await on.run([]() -> int { throw std::runtime_error("function"); }), std::runtime_error);
        EXPECT_EQ(co_await on.run([]() -> task<int> { co_return 9; }), 9);
        EXPECT_THROW(co_await on.run([]() -> task<> {
            co_await yield();
            throw std::runtime_error("coroutine");
        }),
                     std::runtime_error);
        auto made = []() -> task<std::string> { co_return "task"; };
        EXPECT_EQ(co_await on.run(made()), "task");
    });
}

TEST_F(Strand, AFunctionOnAFreeStrandRunsWithoutSuspendingItsTask) {
    strand on;
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            s.request_stop();  // from here on a suspension would not return
            bool ran = co_await on.run([] { return true; });
            EXPECT_TRUE(ran);
        });
    });
}

TEST_F(Strand, FunctionsOfManyTasksNeverRunConcurrently) {
    runtime many{options(4)};
    strand on;
    constexpr int tasks = 16, each = sanitized ? 500 : 5'000;
    std::uint64_t plain = 0;
    many.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            for (int t = 0; t < tasks; ++t) {
                s.spawn([&]() -> task<> {
                    for (int i = 0; i < each; ++i) {
                        std::uint64_t mine = co_await on.run([&] { return ++plain; });
                        EXPECT_GT(mine, 0U);
                        if (i % 64 == 0) co_await yield();
                    }
                });
            }
            co_return;
        });
    });
    EXPECT_EQ(plain, std::uint64_t{tasks} * each);
}

TEST_F(Strand, FunctionsAndCoroutinesNeverRunConcurrently) {
    runtime many{options(4)};
    strand on;
    int inside = 0;
    std::uint64_t plain = 0;
    constexpr int tasks = 12, each = sanitized ? 100 : 1'000;
    many.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            for (int t = 0; t < tasks; ++t) {
                s.spawn([&, t]() -> task<> {
                    for (int i = 0; i < each; ++i) {
                        if (t % 3 == 0) {
                            co_await on.run([&]() -> task<> {
                                EXPECT_EQ(++inside, 1);
                                co_await yield();  // kept across the suspension
                                EXPECT_EQ(inside--, 1);
                                ++plain;
                            });
                        } else {
                            co_await on.run([&] {
                                EXPECT_EQ(inside, 0);
                                ++plain;
                            });
                        }
                    }
                });
            }
            co_return;
        });
    });
    EXPECT_EQ(plain, std::uint64_t{tasks} * each);
}

TEST_F(Strand, FirstComeFirstServedAcrossFunctionsAndCoroutines) {
    runtime one{options(1)};
    strand on;
    event_log log;
    one.block_on([&]() -> task<> {
        gate release;
        co_await with_scope([&](scope& s) -> task<> {
            co_await occupy(s, on, release);
            int arrived = 0;
            for (int i = 0; i < 40; ++i) {  // more than are run in a row
                s.spawn([&, i]() -> task<> {
                    ++arrived;
                    if (i % 5 == 4) {
                        co_await on.run([&, i]() -> task<> {
                            log.add(std::to_string(i) + "c");
                            co_await yield();
                            log.add(std::to_string(i));
                        });
                    } else {
                        co_await on.run([&, i] { log.add(std::to_string(i)); });
                    }
                });
                co_await until([&] { return arrived == i + 1; });  // there is one worker: it waits now, behind those before it
            }
            release.open();
        });
    });
    std::string expected;
    for (int i = 0; i < 40; ++i) {
        if (i != 0) expected += ", ";
        if (i % 5 == 4) expected += std::to_string(i) + "c, ";
        expected += std::to_string(i);
    }
    EXPECT_EQ(log.text(), expected);
}

TEST_F(Strand, AStopBeforeTheStartMeansThatItDidNotHappen) {
    strand on;
    rt.block_on([&]() -> task<> {
        gate release;
        co_await with_scope([&](scope& s) -> task<> {
            co_await occupy(s, on, release);
            std::atomic<int> here{0};
            co_await with_scope([&](scope& inner) -> task<> {
                for (int i = 0; i < 6; ++i) {
                    inner.spawn([&, i]() -> task<> {
                        ++here;
                        if (i % 2 == 0) {
                            co_await on.run([] { ADD_FAILURE() << "ran after its stop"; });
                        } else {
                            co_await on.run([]() -> task<> {
                                ADD_FAILURE() << "ran after its stop";
                                co_return;
                            });
                        }
                        ADD_FAILURE() << "went on after a stop";
                    });
                }
                co_await until([&] { return here == 6; });
                inner.request_stop();
            });
            release.open();
        });
        EXPECT_EQ(co_await on.run([] { return 1; }), 1);  // nobody is left in it
    });
}

TEST_F(Strand, ALoopThatAlwaysFindsItFreeNoticesAStop) {
    strand on;
    int n = 0;
    rt.block_on([&]() -> task<> {
        co_await try_timeout(1ms, [](strand& s, int& count) -> task<> {
            for (;;) co_await s.run([&] { ++count; });
        }(on, n));
    });
    EXPECT_GT(n, 0);
}

TEST_F(Strand, ADeadlineEndsTheWaitForAStrand) {
    strand on;
    rt.block_on([&]() -> task<> {
        gate release;
        co_await with_scope([&](scope& s) -> task<> {
            co_await occupy(s, on, release);
            EXPECT_THROW(co_await timeout(1ms, on.run([] { ADD_FAILURE() << "ran"; })), deadline_exceeded);
            release.open();
        });
    });
}

TEST_F(Strand, AStoppedCoroutineGivesTheStrandBack) {
    strand on;
    rt.block_on([&]() -> task<> {
        bool unwound = false;
        EXPECT_THROW(co_await timeout(50ms, on.run([&]() -> task<> {
                         struct sets {
                             bool& flag;
                             ~sets() { flag = true; }
                         } on_unwind{unwound};
                         co_await never();
                     })),
                     deadline_exceeded);
        EXPECT_TRUE(unwound);
        EXPECT_EQ(co_await on.run([] { return 2; }), 2);
    });
}

TEST_F(Strand, AnErrorGoesToItsCallerAlone) {
    strand on;
    std::atomic<int> errors{0}, values{0};
    rt.block_on([&]() -> task<> {
        gate release;
        co_await with_scope([&](scope& s) -> task<> {
            co_await occupy(s, on, release);
            std::atomic<int> here{0};
            for (int i = 0; i < 10; ++i) {
                s.spawn([&, i]() -> task<> {
                    ++here;
                    try {
                        co_await on.run([&] {
                            if (i % 2 == 0) throw std::runtime_error("mine");
                        });
                        ++values;
                    } catch (const std::runtime_error&) {
                        ++errors;
                        EXPECT_EQ(i % 2, 0);
                    }
                });
            }
            co_await until([&] { return here == 10; });
            release.open();
        });
    });
    EXPECT_EQ(errors, 5);
    EXPECT_EQ(values, 5);
}

TEST_F(Strand, AFunctionRunsAsItsOwnTask) {
    runtime one{options(1)};
    strand on;
    one.block_on([&]() -> task<> {
        gate release;
        co_await with_scope([&](scope& s) -> task<> {
            co_await occupy(s, on, release);
            // The strand is handed to the first one, who runs the functions of the others too.
            for (int i = 0; i < 4; ++i) {
                s.spawn([&]() -> task<> {
                    auto mine = this_task::id();
                    auto seen = co_await on.run([] { return this_task::id(); });
                    EXPECT_EQ(seen, mine);
                    EXPECT_EQ(this_task::id(), mine);
                });
                co_await yield();
            }
            release.open();
        });
    });
}

TEST_F(Strand, AHolderDoesNotRunTheFunctionsOfOthersForEver) {
    runtime one{options(1)};
    strand on;
    int ran = 0, at_first_break = -1;
    one.block_on([&]() -> task<> {
        gate release;
        co_await with_scope([&](scope& s) -> task<> {
            co_await occupy(s, on, release);
            int here = 0;
            for (int i = 0; i < 100; ++i) {
                s.spawn([&]() -> task<> {
                    ++here;
                    co_await on.run([&] { ++ran; });
                });
            }
            co_await until([&] { return here == 100; });
            s.spawn([&]() -> task<> {
                co_await until([&] { return ran > 0; });
                at_first_break = ran;
            });
            co_await yield();
            release.open();
        });
    });
    EXPECT_EQ(ran, 100);
    EXPECT_GT(at_first_break, 0);
    EXPECT_LE(at_first_break, 2 * detail::strand_core::functions_in_a_row + 2);
}

TEST_F(Strand, TasksOfTwoRuntimesShareAStrand) {
    runtime other{options(2)};
    strand on;
    int plain = 0;
    constexpr int each = sanitized ? 300 : 3'000;
    auto work = [&]() -> task<> {
        for (int i = 0; i < each; ++i) {
            auto mine = this_task::id();
            EXPECT_EQ(co_await on.run([&] {
                ++plain;
                return this_task::id();
            }),
                      mine);
        }
    };
    std::thread second{[&] { other.block_on(work()); }};
    rt.block_on(work());
    second.join();
    EXPECT_EQ(plain, 2 * each);
}

// Stops race with the queue, with hand-overs and with coroutines that hold the strand.
TEST_F(Strand, StopsAndCallsRaceAndEachCallEndsExactlyOnce) {
    strand on;
    int started = 0;
    std::atomic<int> delivered{0}, live{0};
    for (int round = 0; round < (sanitized ? 60 : 300); ++round) {
        rt.block_on([&]() -> task<> {
            co_await with_scope([&](scope& s) -> task<> {
                for (int i = 0; i < 8; ++i) {
                    s.spawn([&, i]() -> task<> {
                        for (;;) {
                            counted here{live};
                            if (i % 4 == 3) {
                                co_await on.run([held = counted{live}]() -> task<> { co_await yield(); });
                            } else {
                                co_await on.run([&, held = counted{live}] { ++started; });
                                ++delivered;
                                co_await yield();
                            }
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

TEST_F(Strand, BranchesOfOneTaskMayShareAStrand) {
    strand on;
    rt.block_on([&]() -> task<> {
        int inside = 0;
        auto step = [&]() -> task<> {
            EXPECT_EQ(++inside, 1);
            co_await yield();
            --inside;
        };
        co_await when_all(on.run(step), on.run(step), on.run(step));
    });
}

using StrandDeathTest = Strand;

TEST_F(StrandDeathTest, ANestedRunOnTheSameStrandIsANamedMisuse) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_DEATH(runtime(options(1)).block_on([]() -> task<> {
        strand on;
        co_await on.run([&]() -> task<> { co_await on.run([] {}); });
    }),
                 "inside a coroutine that runs on the same strand");
    EXPECT_DEATH(runtime(options(1)).block_on([]() -> task<> {
        strand on;
        co_await on.run([&]() -> task<> {
            co_await with_scope([&](scope& s) -> task<> {
                s.spawn([&]() -> task<> { co_await timeout(1h, on.run([]() -> task<> { co_return; })); });
                co_return;
            });
        });
    }),
                 "inside a coroutine that runs on the same strand");
}

TEST_F(StrandDeathTest, AStrandThatIsDestroyedWhileItIsUsedIsANamedMisuse) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_DEATH(runtime(options(1)).block_on([]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            gate release;
            auto on = std::make_unique<strand>();
            co_await occupy(s, *on, release);
            s.spawn([&]() -> task<> { co_await on->run([] {}); });
            co_await yield();
            on.reset();
        });
    }),
                 "a strand was destroyed while");
}

/// Another library's awaitable, which no stop ends and nobody resumes. Says when it is waited for.
struct never_resumed {
    std::binary_semaphore& waited_for;
    static bool await_ready() noexcept { return false; }
    void await_suspend(std::coroutine_handle<>) const noexcept { waited_for.release(); }
    static void await_resume() noexcept {}
};

TEST(StrandShutdown, AStrandOutlivesARuntimeThatAbandonedItsTasks) {
    hard_timeout limit;
    strand on;
    std::binary_semaphore held{0};
    {
        runtime rt{{.workers = 1, .name = "abandoning", .guardrails = "stall=off,leak=log"}};
        rt.spawn([&]() -> task<> { co_await on.run([&]() -> task<> { co_await never_resumed{held}; }); });
        held.acquire();
        EXPECT_EQ(rt.shutdown(0ns).abandoned, 1U);
    }
}

}  // namespace
}  // namespace belay
