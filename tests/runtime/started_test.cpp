#include <belay/runtime/scope.hpp>
#include <belay/runtime/started.hpp>
#include <belay/tests/observability/capture_sink.hpp>
#include <belay/tests/runtime/support.hpp>

namespace belay {
namespace {

using namespace test;

class Started : public Suite {
protected:
    runtime rt{options()};
};

task<> service(started<int> started, int port, gate* until_closed) {
    co_await yield();
    started.ready(port);
    co_await until_closed->wait();
}

TEST_F(Started, TheParentGoesOnWithTheValueAndTheChildLivesOn) {
    gate closed;
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            EXPECT_EQ(co_await s.start(service, 80, &closed), 80);
            EXPECT_EQ(s.size(), 1U);
            closed.open();
        });
    });
}

TEST_F(Started, WithoutAValueOrWithOneThatOnlyMoves) {
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            co_await s.start([](started<> started) -> task<> {
                started.ready();
                co_await yield();
            });
            auto p = co_await s.start([](started<std::unique_ptr<int>> started) -> task<int> {
                started.ready(std::make_unique<int>(4));
                co_return 1;
            });
            EXPECT_EQ(*p, 4);
            int n = co_await s.start<int>([](auto started) -> task<> {
                started.ready(5);
                co_return;
            });
            EXPECT_EQ(n, 5);
        });
    });
}

TEST_F(Started, AnErrorBeforeItIsReadyIsTheParentsAndNotTheScopes) {
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            EXPECT_THROW(co_await s.start([](started<int>) -> task<> {
                co_await yield();
                throw std::out_of_range("bind");
            }),
                         std::out_of_range);
            EXPECT_FALSE(s.stop_requested());
            co_await yield();
        });
    });
}

TEST_F(Started, AnErrorAfterItIsReadyIsTheScopes) {
    gate go;
    rt.block_on([&]() -> task<> {
        bool started_well = false;
        EXPECT_THROW(co_await with_scope([&](scope& s) -> task<> {
                         co_await s.start(
                             [](started<> started, gate* g) -> task<> {
                                 started.ready();
                                 co_await g->wait();
                                 throw std::out_of_range("later");
                             },
                             &go);
                         started_well = true;
                         go.open();
                         co_await never();
                     }),
                     std::out_of_range);
        EXPECT_TRUE(started_well);
    });
}

TEST_F(Started, OneThatEndsWithoutHavingBeenReadyIsNamed) {
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            EXPECT_THROW(co_await s.start([](started<int>) -> task<> { co_await yield(); }), never_ready);
        });
    });
}

TEST_F(Started, OneThatIsStoppedBeforeItIsReadyThrowsTaskStoppedWithTheReason) {
    gate begun;
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& outer) -> task<> {
            join_handle<> waits;
            co_await with_scope([&](scope& inner) -> task<> {
                waits = outer.spawn([&]() -> task<> {
                    try {
                        co_await inner.start(
                            [](started<> mine, gate* g) -> task<> {
                                g->open();
                                co_await never();
                                mine.ready();
                            },
                            &begun);
                        ADD_FAILURE() << "it was never ready";
                    } catch (const task_stopped& e) {
                        EXPECT_EQ(e.reason(), stop_reason::requested);
                    }
                });
                co_await begun.wait();
                inner.request_stop();
            });
            EXPECT_TRUE(co_await waits.join_optional());
        });
    });
}

TEST_F(Started, AStopOfTheParentLeavesTheChildInItsScopeAndItsErrorToThatScope) {
    gate begun;
    gate go;
    rt.block_on([&]() -> task<> {
        EXPECT_THROW(co_await with_scope([&](scope& s) -> task<> {
                         co_await with_scope([&](scope& inner) -> task<> {
                             inner.spawn([&]() -> task<> {
                                 co_await s.start(
                                     [](started<> mine, gate* b, gate* g) -> task<> {
                                         b->open();
                                         co_await g->wait();
                                         mine.ready();  // nobody waits: nothing happens
                                         throw std::out_of_range("child");
                                     },
                                     &begun, &go);
                                 ADD_FAILURE() << "went on after a stop";
                             });
                             co_await begun.wait();
                             inner.request_stop();
                         });
                         EXPECT_EQ(s.size(), 1U);
                         go.open();
                         co_await never();
                     }),
                     std::out_of_range);
    });
}

TEST_F(Started, InAStoppedScopeNothingIsSpawned) {
    bool ran = false;
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            s.request_stop();
            co_await s.start(
                [](started<> started, bool* r) -> task<> {
                    *r = true;
                    started.ready();
                    co_return;
                },
                &ran);
            ADD_FAILURE() << "went on in a stopped scope";
        });
    });
    EXPECT_FALSE(ran);
}

TEST_F(Started, AFullScopeThrowsAndNothingIsSpawned) {
    gate closed;
    rt.block_on([&]() -> task<> {
        co_await with_scope({.max_tasks = 1}, [&](scope& s) -> task<> {
            EXPECT_EQ(co_await s.start(service, 1, &closed), 1);
            EXPECT_THROW(co_await s.start(service, 2, &closed), scope_full);
            closed.open();
        });
    });
}

TEST_F(Started, ReadyMayBeSaidByAnotherThread) {
    std::vector<std::thread> others(50);
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            for (int i = 0; i < 50; ++i) {
                EXPECT_EQ(co_await s.start(
                              [](started<int> mine, std::thread* other, int n) -> task<> {
                                  *other = std::thread{[m = std::move(mine), n]() mutable { m.ready(n); }};
                                  co_await never();
                              },
                              &others[static_cast<std::size_t>(i)], i),
                          i);
            }
            s.request_stop();
        });
    });
    for (auto& other : others) other.join();
}

// The readiness, the error, the end and the stop of the parent come at about the same time.
/// Throws when it is moved for the n-th time.
struct moves_so_often {
    explicit moves_so_often(int n) : left{n} {}
    moves_so_often(moves_so_often&& other) : left{other.left - 1} {
        if (left <= 0) throw std::runtime_error("no further");
    }
    int left;
};

TEST_F(Started, AnArgumentThatCannotBeMovedIntoTheTaskEndsTheWait) {
    captured_reports captured;
    int ready = 0;
    int failed = 0;
    rt.block_on([&]() -> task<> {
        auto serve = [](started<> started, moves_so_often) -> task<> {
            started.ready();
            co_return;
        };
        for (int moves = 1; moves < 12; ++moves) {
            try {
                co_await with_scope([&](scope& s) -> task<> { co_await s.start(serve, moves_so_often{moves}); });
                ++ready;
            } catch (const std::runtime_error&) {
                ++failed;
            }
        }
    });
    EXPECT_GT(ready, 0);
    EXPECT_GT(failed, 0);
    EXPECT_EQ(ready + failed, 11);
}

TEST_F(Started, EndsOnceWhateverComesFirst) {
    std::atomic<int> live{0};
    for (int round = 0; round < (sanitized ? 200 : 1000); ++round) {
        rt.block_on([&]() -> task<> {
            co_await with_scope({.on_error = on_error::isolate}, [&](scope& s) -> task<> {
                auto parent = s.spawn([&]() -> task<> {
                    try {
                        int n = co_await s.start(
                            [](started<int> mine, int r, counted) -> task<> {
                                for (int i = 0; i < r % 5; ++i) co_await yield();
                                if (r % 3 == 1) co_return;
                                mine.ready(r);
                                co_await yield();
                            },
                            round, counted{live});
                        EXPECT_EQ(n, round);
                    } catch (const never_ready&) {
                        EXPECT_EQ(round % 3, 1);
                    } catch (const task_stopped&) {
                        // the scope was stopped
                    }
                });
                for (int i = 0; i < round % 7; ++i) co_await yield();
                if (round % 2 == 0) {
                    parent.request_stop();
                } else {
                    s.request_stop();
                }
            });
            EXPECT_EQ(live, 0);
        });
    }
}

using StartedDeathTest = Started;

TEST_F(StartedDeathTest, BeingReadyTwiceIsNamed) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_DEATH(rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            co_await s.start([](started<> started) -> task<> {
                started.ready();
                started.ready();
                co_return;
            });
        });
    }),
                 "MISUSE: started::ready\\(\\) was called twice");
}

}  // namespace
}  // namespace belay
