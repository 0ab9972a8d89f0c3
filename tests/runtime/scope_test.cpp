// Promises 1 (a task never outlives its scope), 3 (a stop cannot be swallowed), 5 (scopes are bounded) and 7 (errors are
// never lost).
#include <belay/observability/guardrails.hpp>
#include <belay/runtime/scope.hpp>
#include <belay/runtime/shield.hpp>
#include <belay/runtime/sleep.hpp>
#include <belay/tests/observability/capture_sink.hpp>
#include <belay/tests/runtime/support.hpp>

#include <algorithm>
#include <set>
#include <string>

namespace belay {
namespace {

using namespace test;

class Scope : public Suite {
protected:
    template <class F>
    auto run(F body) {
        return rt.block_on(std::move(body));
    }
    runtime rt{options()};
};

std::string what_of(const std::exception_ptr& error) {
    try {
        std::rethrow_exception(error);
    } catch (const std::exception& e) {
        return e.what();
    }
}

task<> fail_with(std::string why) {
    throw std::runtime_error(why);
    co_return;
}
task<> nothing() { co_return; }

// ---- promise 1 ---------------------------------------------------------------------------------------------------

TEST_F(Scope, ReturnsOnlyWhenEveryChildHasEndedAndItsFrameIsGone) {
    std::atomic<int> live{0};
    run([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            for (int i = 0; i < 100; ++i) {
                s.spawn([&live, i, held = counted{live}]() -> task<> {
                    counted local{live};
                    for (int k = 0; k < i; ++k) co_await yield();
                });
            }
            co_return;
        });
        EXPECT_EQ(live, 0);  // locals, closures and arguments
    });
}

TEST_F(Scope, JoinsChildrenThatAreSpawnedByChildrenAfterTheBodyHasEnded) {
    std::atomic<int> ran{0};
    run([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            s.spawn([&]() -> task<> {
                for (int i = 0; i < 10; ++i) co_await yield();
                s.spawn([&]() -> task<> {
                    co_await sleep_for(1ms);
                    s.spawn([&]() -> task<> {
                        ++ran;
                        co_return;
                    });
                    ++ran;
                });
                ++ran;
            });
            co_return;
        });
        EXPECT_EQ(ran, 3);
    });
}

TEST_F(Scope, AFailingBodyStillWaitsForItsChildren) {
    std::atomic<int> live{0};
    run([&]() -> task<> {
        EXPECT_THROW(co_await with_scope([&](scope& s) -> task<> {
                         for (int i = 0; i < 10; ++i) {
                             s.spawn([&]() -> task<> {
                                 counted local{live};
                                 co_await never();
                             });
                         }
                         co_await until([&] { return live == 10; });
                         throw std::runtime_error("body");
                     }),
                     std::runtime_error);
        EXPECT_EQ(live, 0);
    });
}

// A scope is a local of a coroutine frame, and frames come from a pool of 16-byte alignment.
TEST_F(Scope, IsAlignedAsItsTypeAsks) {
    run([]() -> task<> {
        for (int i = 0; i < 20; ++i) {
            co_await with_scope([](scope& outer) -> task<> {
                EXPECT_EQ(reinterpret_cast<std::uintptr_t>(&outer) % alignof(scope), 0U);
                co_await with_scope({.deadline = 1h}, [](scope& inner) -> task<> {
                    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(&inner) % alignof(scope), 0U);
                    co_return;
                });
            });
        }
    });
}

// A body need not be a coroutine: then it spawns before anything has been suspended.
TEST_F(Scope, ABodyThatIsAPlainFunctionMaySpawn) {
    std::atomic<int> ran{0};
    run([&]() -> task<> {
        co_await with_scope([&](scope& s) {
            for (int i = 0; i < 10; ++i) {
                s.spawn([&]() -> task<> {
                    co_await yield();
                    ++ran;
                });
            }
            return nothing();
        });
        EXPECT_EQ(ran, 10);
    });
}

TEST_F(Scope, ABodyThatIsAPlainFunctionAndThrowsStillWaitsForWhatItSpawned) {
    std::atomic<int> live{0};
    for (int round = 0; round < 100; ++round) {
        run([&]() -> task<> {
            try {
                co_await with_scope([&](scope& s) -> task<> {
                    for (int i = 0; i < 10; ++i) {
                        s.spawn([&]() -> task<> {
                            counted local{live};
                            for (int k = 0; k < 5; ++k) co_await yield();
                        });
                    }
                    throw std::runtime_error("not a coroutine");
                });
                ADD_FAILURE() << "no error";
            } catch (const std::runtime_error& e) {
                EXPECT_STREQ(e.what(), "not a coroutine");
            }
            EXPECT_EQ(live, 0);
        });
    }
}

TEST_F(Scope, ABodyThatIsAPlainFunctionInAStoppedScopeLeavesNoChildBehind) {
    std::atomic<int> live{0};
    for (int round = 0; round < 100; ++round) {
        run([&]() -> task<> {
            co_await with_scope([&](scope& outer) -> task<> {
                outer.request_stop();
                co_await with_scope([&](scope& s) {
                    for (int i = 0; i < 10; ++i) {
                        s.spawn([&]() -> task<> {
                            counted local{live};
                            co_await yield();
                            ADD_FAILURE() << "went on in a stopped scope";
                        });
                    }
                    return nothing();
                });
            });
            EXPECT_EQ(live, 0);
        });
    }
}

TEST_F(Scope, TheBodyReturnsAValueOfAnyKind) {
    int n = 1;
    run([&]() -> task<> {
        EXPECT_EQ(co_await with_scope([](scope&) -> task<int> { co_return 7; }), 7);
        auto p = co_await with_scope([](scope&) -> task<std::unique_ptr<int>> { co_return std::make_unique<int>(8); });
        EXPECT_EQ(*p, 8);
        int& r = co_await with_scope([&](scope&) -> task<int&> { co_return n; });
        EXPECT_EQ(&r, &n);
    });
}

TEST_F(Scope, ArgumentsAndCapturesBelongToTheTask) {
    std::atomic<int> sum{0};
    run([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            {
                std::string text(1000, 'x');
                auto owned = std::make_unique<int>(5);
                s.spawn(
                    [&sum, text](std::unique_ptr<int> p, std::string more) -> task<> {
                        co_await yield();
                        sum += static_cast<int>(text.size() + more.size()) + *p;
                    },
                    std::move(owned), std::string(500, 'y'));
            }
            co_return;
        });
    });
    EXPECT_EQ(sum, 1505);
}

TEST_F(Scope, TakesATaskOver) {
    static std::atomic<int> ran{0};
    run([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            auto work = []() -> task<int> {
                ++ran;
                co_return 3;
            };
            auto t = work();
            EXPECT_EQ(co_await s.spawn(std::move(t)).join(), 3);
        });
    });
    EXPECT_EQ(ran, 1);
}

TEST_F(Scope, TheClosureOfAChildDiesAfterItsFrame) {
    event_log log;
    run([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            s.spawn([&log, closure = logs_end{log, "closure"}]() -> task<> {
                logs_end local{log, "frame"};
                co_await yield();
            });
            co_return;
        });
        log.add("scope");
    });
    EXPECT_EQ(log.text(), "frame, closure, scope");
}

struct throws_when_copied {
    throws_when_copied() = default;
    throws_when_copied(const throws_when_copied&) { throw std::logic_error("copy"); }
    task<> operator()() const { co_return; }
};

TEST_F(Scope, AnArgumentWhoseCopyThrowsLeavesTheScopeAsItWas) {
    run([&]() -> task<> {
        co_await with_scope({.max_tasks = 1}, [&](scope& s) -> task<> {
            throws_when_copied f;
            EXPECT_THROW(s.spawn(f), std::logic_error);
            EXPECT_THROW(s.spawn([](throws_when_copied) -> task<> { co_return; }, f), std::logic_error);
            EXPECT_EQ(s.size(), 0U);
            s.spawn(nothing);  // the room was given back
            co_return;
        });
    });
}

TEST_F(Scope, ACallableThatThrowsBeforeItMakesATaskFailsItsTask) {
    run([&]() -> task<> {
        EXPECT_THROW(co_await with_scope([&](scope& s) -> task<> {
                         s.spawn([]() -> task<> { throw std::logic_error("no task"); });
                         co_return;
                     }),
                     std::logic_error);
        EXPECT_THROW(co_await with_scope({.on_error = on_error::collect},
                                         [&](scope& s) -> task<> {
                                             auto handle =
                                                 s.spawn([](int) -> task<int> { throw std::logic_error("no task"); }, 1);
                                             EXPECT_THROW(co_await handle.join(), std::logic_error);
                                         }),
                     scope_errors);
        co_return;
    });
}

// ---- errors: promise 7 ------------------------------------------------------------------------------------------

TEST_F(Scope, TheFirstErrorStopsTheSiblingsAndIsRethrown) {
    std::atomic<int> live{0};
    run([&]() -> task<> {
        try {
            co_await with_scope([&](scope& s) -> task<> {
                for (int i = 0; i < 5; ++i) {
                    s.spawn([&]() -> task<> {
                        counted local{live};
                        co_await never();
                    });
                }
                co_await until([&] { return live == 5; });
                s.spawn(fail_with, "first");
                co_await never();
            });
            ADD_FAILURE() << "no error";
        } catch (const std::runtime_error& e) {
            EXPECT_STREQ(e.what(), "first");
        }
        EXPECT_EQ(live, 0);
    });
}

TEST_F(Scope, FurtherErrorsAreReportedWithTheirSpawnSite) {
    captured_reports captured;
    auto before = guardrails::guardrail_counts()[guardrail::lost_error];
    std::atomic<int> arrived{0};
    run([&]() -> task<> {
        try {
            co_await with_scope([&](scope& s) -> task<> {
                // Both are past their last suspension when the first one throws.
                auto racer = [&arrived](std::string why) -> task<> {
                    ++arrived;
                    while (arrived < 2) std::this_thread::yield();
                    throw std::runtime_error(why);
                    co_return;
                };
                s.spawn(racer, "a");
                s.spawn(racer, "b");
                co_await until([&] { return s.size() == 0; });
            });
            ADD_FAILURE() << "no error";
        } catch (const std::runtime_error&) {}
    });
    EXPECT_EQ(guardrails::guardrail_counts()[guardrail::lost_error], before + 1);
    auto reports = captured.sink->of(guardrail::lost_error);
    ASSERT_EQ(reports.size(), 1U);
    EXPECT_NE(reports[0].spawned.find("scope_test.cpp"), std::string::npos) << reports[0].spawned;
}

// A report must name the user's line, whichever way the task was spawned, and whether or not the spawn had to wait.
TEST_F(Scope, EveryKindOfSpawnKnowsItsLine) {
    captured_reports captured;
    auto fail = [](int) -> task<> {
        throw std::runtime_error("child");
        co_return;
    };
    std::uint_least32_t first = 0;
    run([&]() -> task<> {
        co_await with_scope({.max_tasks = 1, .on_error = on_error::isolate}, [&](scope& s) -> task<> {
            auto gone = [&] { return s.size() == 0; };
            first = std::source_location::current().line();
            s.spawn(fail, 1);
            co_await until(gone);
            EXPECT_TRUE(s.try_spawn(fail, 2));  // whose handle goes here
            co_await until(gone);
            co_await s.spawn_when_free(fail, 3);
            co_await s.spawn_when_free(fail, 4);
        });
    });
    std::set<std::string> places;
    for (const auto& report : captured.sink->of(guardrail::lost_error)) places.insert(report.spawned);
    for (auto line : {1U, 3U, 5U, 6U}) {
        auto place = "scope_test.cpp:" + std::to_string(first + line);
        EXPECT_TRUE(std::any_of(places.begin(), places.end(), [&](auto& p) { return p.find(place) != p.npos; })) << place;
    }
}

TEST_F(Scope, TheErrorOfTheBodyCountsLikeThatOfAChild) {
    run([&]() -> task<> {
        EXPECT_THROW(co_await with_scope([&](scope&) -> task<int> { throw std::out_of_range("body"); }), std::out_of_range);
    });
}

TEST_F(Scope, CollectRunsTheSiblingsOnAndThrowsAllErrors) {
    std::atomic<int> ended{0};
    run([&]() -> task<> {
        try {
            co_await with_scope({.on_error = on_error::collect}, [&](scope& s) -> task<> {
                s.spawn(fail_with, "one");
                co_await until([&] { return s.size() == 0; });
                s.spawn(fail_with, "two");
                co_await until([&] { return s.size() == 0; });
                EXPECT_FALSE(s.stop_requested());
                s.spawn([&]() -> task<> {
                    co_await yield();
                    ++ended;
                });
                throw std::runtime_error("body");
            });
            ADD_FAILURE() << "no error";
        } catch (const scope_errors& all) {
            EXPECT_EQ(all.errors().size(), 3U);
            if (all.errors().size() != 3) co_return;
            EXPECT_EQ(what_of(all.errors()[0]), "one");
            EXPECT_EQ(what_of(all.errors()[1]), "two");
            EXPECT_EQ(what_of(all.errors()[2]), "body");
        }
    });
    EXPECT_EQ(ended, 1);
}

TEST_F(Scope, IsolateCountsAndReportsErrorsAndNeverFails) {
    captured_reports captured;
    auto before = guardrails::guardrail_counts()[guardrail::lost_error];
    run([&]() -> task<> {
        int n = co_await with_scope({.name = "connections", .on_error = on_error::isolate}, [&](scope& s) -> task<int> {
            for (int i = 0; i < 20; ++i) s.spawn(fail_with, "connection reset");
            co_await until([&] { return s.size() == 0; });
            EXPECT_FALSE(s.stop_requested());
            co_return 4;
        });
        EXPECT_EQ(n, 4);
    });
    EXPECT_EQ(guardrails::guardrail_counts()[guardrail::lost_error], before + 20);
    auto reports = captured.sink->of(guardrail::lost_error);
    ASSERT_FALSE(reports.empty());
    EXPECT_NE(reports[0].to_text().find("connections"), std::string::npos);
    EXPECT_NE(reports[0].to_text().find("connection reset"), std::string::npos);
}

TEST_F(Scope, IsolateStillRethrowsTheErrorOfTheBody) {
    run([&]() -> task<> {
        EXPECT_THROW(co_await with_scope({.on_error = on_error::isolate}, [&](scope&) -> task<> { return fail_with("body"); }),
                     std::runtime_error);
    });
}

TEST_F(Scope, ATaskStoppedThatIsRaisedAfterTheStopIsNotTheError) {
    run([&]() -> task<> {
        // The child joins one that is stopped: its task_stopped is a consequence of the stop.
        co_await with_scope([&](scope& s) -> task<> {
            auto child = s.spawn(never);
            s.request_stop();
            while (!child.ended()) std::this_thread::yield();
            EXPECT_THROW(
                {
                    auto j = child.join();
                    EXPECT_TRUE(j.await_ready());
                    j.await_resume();
                },
                task_stopped);
            throw task_stopped{};
        });
        // But an error of the work itself is, stop or no stop.
        EXPECT_THROW(co_await with_scope([&](scope& s) -> task<> {
                         s.request_stop();
                         throw std::runtime_error("real");
                         co_return;
                     }),
                     std::runtime_error);
    });
}

// ---- limits: promise 5 ------------------------------------------------------------------------------------------

TEST_F(Scope, SpawnAtTheLimitThrowsScopeFullAndTrySpawnIsEmpty) {
    run([&]() -> task<> {
        gate shut;
        co_await with_scope({.max_tasks = 3}, [&](scope& s) -> task<> {
            auto wait = [&]() -> task<> { co_await shut.wait(); };
            for (int i = 0; i < 3; ++i) s.spawn(wait);
            EXPECT_THROW(s.spawn(wait), scope_full);
            EXPECT_FALSE(s.try_spawn(wait));
            EXPECT_EQ(s.size(), 3U);
            co_await until([&] { return shut.waiting() == 3; });
            shut.release_one();
            co_await until([&] { return s.size() == 2; });
            EXPECT_TRUE(s.try_spawn(wait));
            EXPECT_THROW(s.spawn(wait), scope_full);
            shut.open();
        });
    });
}

TEST_F(Scope, TheLimitIsValidated) {
    run([&]() -> task<> {
        EXPECT_THROW(co_await with_scope({.max_tasks = 0}, [](scope&) -> task<> { co_return; }), std::invalid_argument);
        EXPECT_THROW(co_await with_scope({.max_tasks = 5'000'000'000}, [](scope&) -> task<> { co_return; }),
                     std::invalid_argument);
    });
}

TEST_F(Scope, NeverHoldsMoreThanItsLimitHoweverManySpawn) {
    std::atomic<int> live{0}, most{0}, ran{0};
    constexpr int limit = 4;
    run([&]() -> task<> {
        co_await with_scope({.max_tasks = limit}, [&](scope& inner) -> task<> {
            co_await with_scope([&](scope& producers) -> task<> {
                for (int p = 0; p < 8; ++p) {
                    producers.spawn([&]() -> task<> {
                        for (int i = 0; i < 200; ++i) {
                            co_await inner.spawn_when_free([&]() -> task<> {
                                int now = ++live;
                                for (int seen = most; now > seen && !most.compare_exchange_weak(seen, now);) {}
                                co_await yield();
                                --live;
                                ++ran;
                            });
                        }
                    });
                }
                co_return;
            });
        });
    });
    EXPECT_EQ(ran, 8 * 200);
    EXPECT_LE(most, limit);
}

TEST_F(Scope, SpawnWhenFreeIsFirstComeFirstServed) {
    event_log log;
    runtime one{{.workers = 1}};  // so that a task that has announced itself has suspended when another one runs
    one.block_on([&]() -> task<> {
        gate shut;
        co_await with_scope({.max_tasks = 1}, [&](scope& s) -> task<> {
            s.spawn([&]() -> task<> { co_await shut.wait(); });
            std::atomic<int> waiting{0};
            co_await with_scope([&](scope& producers) -> task<> {
                for (int i = 0; i < 5; ++i) {
                    producers.spawn([&, i]() -> task<> {
                        ++waiting;
                        co_await s.spawn_when_free([&, i]() -> task<> {
                            log.add(std::to_string(i));
                            co_return;
                        });
                    });
                    co_await until([&] { return waiting == i + 1; });
                }
                EXPECT_FALSE(s.try_spawn(nothing));  // nobody overtakes those who wait
                shut.open();
            });
        });
    });
    EXPECT_EQ(log.text(), "0, 1, 2, 3, 4");
}

TEST_F(Scope, AStopEndsTheWaitForRoomAndSpawnsNothing) {
    std::atomic<int> ran{0}, live{0};
    run([&]() -> task<> {
        gate shut;
        co_await with_scope({.max_tasks = 1}, [&](scope& s) -> task<> {
            s.spawn([&]() -> task<> { co_await shut.wait(); });
            std::atomic<int> waiting{0};
            co_await with_scope([&](scope& producers) -> task<> {
                for (int i = 0; i < 5; ++i) {
                    producers.spawn([&]() -> task<> {
                        ++waiting;
                        co_await s.spawn_when_free([&ran, held = counted{live}]() -> task<> {
                            ++ran;
                            co_return;
                        });
                    });
                }
                co_await until([&] { return waiting == 5; });
                producers.request_stop();
            });
            EXPECT_EQ(live, 0);
            EXPECT_EQ(s.size(), 1U);
            shut.open();
            co_await until([&] { return s.size() == 0; });
            s.spawn([&]() -> task<> {  // the queue is usable after all that
                ran += 100;
                co_return;
            });
        });
    });
    EXPECT_EQ(ran, 100);
}

TEST_F(Scope, AStopOfTheScopeItselfEndsTheWaitForRoom) {
    gate shut;
    struct opens_at_its_end {
        gate& held;
        ~opens_at_its_end() { held.open(); }
    };
    run([&]() -> task<> {
        co_await with_scope({.max_tasks = 1}, [&](scope& s) -> task<> {
            // Its place is taken until the body has unwound: a stop does not end it.
            s.spawn([&]() -> task<> { co_await shield(shut.wait()); });
            const opens_at_its_end unwound{shut};
            s.request_stop();
            co_await s.spawn_when_free(never);
            ADD_FAILURE() << "went on in a stopped scope";
        });
    });
}

TEST_F(Scope, AChildOfAStoppedScopeRunsToItsFirstSuspension) {
    std::atomic<int> began{0};
    run([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            s.request_stop();
            EXPECT_TRUE(s.stop_requested());
            s.spawn([&]() -> task<> {
                ++began;
                co_await yield();
                ADD_FAILURE() << "went on in a stopped scope";
            });
            co_return;
        });
    });
    EXPECT_EQ(began, 1);
}

TEST_F(Scope, TasksAreSpawnedFromAnyThread) {
    std::atomic<int> ran{0};
    run([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            std::vector<std::thread> threads;
            for (int t = 0; t < 4; ++t) {
                threads.emplace_back([&] {
                    for (int i = 0; i < 250; ++i) {
                        s.spawn([&]() -> task<> {
                            ++ran;
                            co_return;
                        });
                    }
                });
            }
            co_await until([&] { return ran == 1000; });
            for (auto& t : threads) t.join();
        });
    });
    EXPECT_EQ(ran, 1000);
}

}  // namespace
}  // namespace belay
