#include <belay/runtime/join_handle.hpp>
#include <belay/runtime/scope.hpp>
#include <belay/runtime/shield.hpp>
#include <belay/runtime/this_task.hpp>
#include <belay/runtime/timeout.hpp>
#include <belay/runtime/when_all.hpp>
#include <belay/runtime/when_any.hpp>
#include <belay/tests/runtime/support.hpp>

namespace belay {
namespace {

using namespace test;

class JoinHandle : public Suite {
protected:
    runtime rt{options()};
};

task<int> give(int n) {
    co_await yield();
    co_return n;
}

TEST_F(JoinHandle, JoinReturnsTheValueOfATaskThatStillRuns) {
    gate shut;
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            auto handle = s.spawn([&]() -> task<int> {
                co_await shut.wait();
                co_return 7;
            });
            EXPECT_TRUE(handle);
            EXPECT_NE(handle.id(), 0U);
            EXPECT_FALSE(handle.ended());
            s.spawn([&]() -> task<> {
                for (int i = 0; i < 20; ++i) co_await yield();
                shut.open();
            });
            EXPECT_EQ(co_await handle.join(), 7);
            EXPECT_TRUE(handle.ended());
        });
    });
}

TEST_F(JoinHandle, JoinReturnsTheValueOfATaskThatHasEnded) {
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            auto handle = s.spawn(give, 8);
            co_await until([&] { return handle.ended(); });
            EXPECT_EQ(co_await handle.join(), 8);
        });
    });
}

TEST_F(JoinHandle, JoinMovesAMoveOnlyResultOutAndPassesReferences) {
    int n = 0;
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            auto p = co_await s.spawn([]() -> task<std::unique_ptr<int>> { co_return std::make_unique<int>(9); }).join();
            EXPECT_EQ(*p, 9);
            int& r = co_await s.spawn([](std::reference_wrapper<int> x) -> task<int&> { co_return x.get(); }, std::ref(n)).join();
            EXPECT_EQ(&r, &n);
        });
    });
}

TEST_F(JoinHandle, JoinRethrowsTheErrorWhichTheScopeSeesAnyway) {
    rt.block_on([&]() -> task<> {
        EXPECT_THROW(co_await with_scope({.on_error = on_error::collect},
                                         [&](scope& s) -> task<> {
                                             auto handle = s.spawn([]() -> task<int> {
                                                 throw std::runtime_error("child");
                                                 co_return 0;
                                             });
                                             EXPECT_THROW(co_await handle.join(), std::runtime_error);
                                         }),
                     scope_errors);
    });
}

// What a stop becomes at this boundary: an exception, or an empty optional.
TEST_F(JoinHandle, JoiningAStoppedTaskThrowsTaskStoppedAndJoinOptionalIsEmpty) {
    rt.block_on([&]() -> task<> {
        join_handle<int> value;
        join_handle<> nothing;
        join_handle<int> again;
        co_await with_scope([&](scope& s) -> task<> {
            auto wait = []() -> task<int> {
                co_await never();
                co_return 1;
            };
            value = s.spawn(wait);
            again = s.spawn(wait);
            nothing = s.spawn(never);
            s.request_stop();
            co_return;
        });
        // The handles outlive the scope.
        EXPECT_THROW(co_await value.join(), task_stopped);
        EXPECT_EQ(co_await again.join_optional(), std::nullopt);
        EXPECT_EQ(co_await nothing.join_optional(), std::nullopt);
    });
}

TEST_F(JoinHandle, JoiningAStoppedTaskSaysWhyItWasStopped) {
    rt.block_on([&]() -> task<> {
        join_handle<> handle;
        auto body = [&](scope& s) -> task<> {
            handle = s.spawn(never);
            co_return;
        };
        EXPECT_THROW(co_await with_scope({.deadline = 1ms}, body), deadline_exceeded);
        try {
            co_await handle.join();
            ADD_FAILURE() << "it cannot have ended";
        } catch (const task_stopped& stopped) {
            EXPECT_EQ(stopped.reason(), stop_reason::deadline);
        }
    });
}

TEST_F(JoinHandle, JoinOptionalHoldsTheValueOfATaskThatEnded) {
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            EXPECT_EQ(co_await s.spawn(give, 3).join_optional(), std::optional<int>(3));
            EXPECT_EQ(co_await s.spawn([]() -> task<> { co_return; }).join_optional(), std::optional<bool>(true));
        });
    });
}

TEST_F(JoinHandle, AStopOfTheJoinerEndsTheWaitAndNotTheTask) {
    gate shut;
    std::atomic<bool> joining{false};
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& outer) -> task<> {
            auto worker = outer.spawn([&]() -> task<int> {
                co_await shut.wait();
                co_return 5;
            });
            co_await with_scope([&](scope& inner) -> task<> {
                inner.spawn([&]() -> task<> {
                    joining = true;
                    co_await worker.join();
                    ADD_FAILURE() << "went on after a stop";
                });
                co_await until([&] { return joining.load(); });
                for (int i = 0; i < 20; ++i) co_await yield();
                inner.request_stop();
            });
            EXPECT_FALSE(worker.ended());
            shut.open();
            EXPECT_EQ(co_await worker.join(), 5);  // the place of the joiner is free again
        });
    });
}

TEST_F(JoinHandle, MayBeDroppedAtAnyTimeAndMayOutliveTheRuntime) {
    join_handle<std::string> late;
    std::atomic<int> ran{0};
    {
        runtime other{options()};
        for (int i = 0; i < 100; ++i) {
            other.spawn([&]() -> task<> {
                ++ran;
                co_return;
            });
        }
        late = other.spawn([]() -> task<std::string> { co_return std::string(1000, 'x'); });
        wait_until([&] { return late.ended() && ran == 100; });
    }
    EXPECT_EQ(rt.block_on([&]() -> task<std::string> { co_return co_await late.join(); }), std::string(1000, 'x'));
}

TEST_F(JoinHandle, TasksOfAnotherRuntimeCanBeJoined) {
    runtime other{options()};
    gate shut;
    auto handle = other.spawn([&]() -> task<int> {
        co_await shut.wait();
        co_return 11;
    });
    EXPECT_EQ(rt.block_on([&]() -> task<int> {
        auto join = [&]() -> task<int> { co_return co_await handle.join(); };
        co_return co_await with_scope([&](scope& s) -> task<int> {
            auto joiner = s.spawn(join);
            for (int i = 0; i < 20; ++i) co_await yield();
            shut.open();
            co_return co_await joiner.join();
        });
    }),
              11);
}

// Budget: joins that never suspend let others run nevertheless.
TEST_F(JoinHandle, ALoopOfJoinsThatAreReadyLetsOthersRun) {
    runtime one{options(1)};
    one.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            std::vector<join_handle<int>> handles;
            for (int i = 0; i < 1000; ++i) handles.push_back(s.spawn(give, i));
            co_await until([&] { return s.size() == 0; });
            bool other_ran = false;
            s.spawn([&]() -> task<> {
                other_ran = true;
                co_return;
            });
            int joined = 0;
            for (auto& handle : handles) {
                EXPECT_EQ(co_await handle.join(), joined++);
                if (other_ran) break;
            }
            EXPECT_TRUE(other_ran) << "after " << joined << " joins";
            EXPECT_LE(joined, 2 * 128);
        });
    });
}

// ---- the stop of one task ----------------------------------------------------------------------------------------

TEST_F(JoinHandle, RequestStopEndsOneTaskAndLeavesItsSiblingsAndItsScopeAlone) {
    gate shut;
    std::atomic<int> live{0};
    rt.block_on([&]() -> task<> {
        bool went_on = false;
        co_await with_scope([&](scope& s) -> task<> {
            auto wait = [&]() -> task<> {
                counted here{live};
                co_await shut.wait();
                ++live;
            };
            auto victim = s.spawn(wait);
            auto sibling = s.spawn(wait);
            co_await until([&] { return shut.waiting() == 2; });
            victim.request_stop();
            try {
                co_await victim.join();
                ADD_FAILURE() << "no task_stopped";
            } catch (const task_stopped& e) {
                EXPECT_EQ(e.reason(), stop_reason::requested);
            }
            EXPECT_EQ(live, 1);
            EXPECT_FALSE(s.stop_requested());
            EXPECT_FALSE(sibling.ended());
            shut.open();
            co_await sibling.join();
        });
        went_on = true;
        EXPECT_TRUE(went_on);
        EXPECT_EQ(live, 1);  // what the sibling added
    });
}

TEST_F(JoinHandle, RequestStopReachesEverythingBelowTheTask) {
    std::atomic<int> live{0};
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            auto wait = [&]() -> task<> {
                counted here{live};
                co_await never();
            };
            auto victim = s.spawn([&]() -> task<> {
                co_await with_scope([&](scope& inner) -> task<> {
                    inner.spawn(wait);
                    co_await when_all(timeout(1h, wait()), when_any(wait(), wait()), wait());
                });
                ADD_FAILURE() << "went on after a stop";
            });
            co_await until([&] { return live == 5; });
            victim.request_stop();
            EXPECT_FALSE(co_await victim.join_optional());
            EXPECT_EQ(live, 0);
            EXPECT_FALSE(s.stop_requested());
        });
    });
}

TEST_F(JoinHandle, RequestStopIsLevelTriggeredAndKnownToTheTask) {
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            std::atomic<bool> asked{false};
            auto victim = s.spawn([&]() -> task<> {
                EXPECT_FALSE(this_task::stop_requested());
                while (!this_task::stop_requested()) {  // no suspension: nothing but the flag can tell
                    asked = true;
                    std::this_thread::yield();
                }
                EXPECT_EQ(this_task::stop_reason(), stop_reason::requested);
                co_await checkpoint();
                ADD_FAILURE() << "went on after a stop";
            });
            while (!asked) std::this_thread::yield();
            victim.request_stop();
            EXPECT_FALSE(co_await victim.join_optional());
        });
    });
}

TEST_F(JoinHandle, RequestStopBeforeTheTaskHasRunLetsItRunToItsFirstSuspension) {
    runtime one{options(1)};
    one.block_on([]() -> task<> {
        bool began = false;
        co_await with_scope([&](scope& s) -> task<> {
            auto victim = s.spawn([&]() -> task<> {
                began = true;
                co_await yield();
                ADD_FAILURE() << "went on after a stop";
            });
            victim.request_stop();
            victim.request_stop();  // idempotent
            co_return;
        });
        EXPECT_TRUE(began);
    });
}

TEST_F(JoinHandle, RequestStopOnATaskThatHasEndedChangesNothingEvenWhenItsRuntimeHasGone) {
    join_handle<int> value;
    join_handle<> stopped;
    join_handle<> none;
    {
        runtime other{options()};
        other.block_on([&]() -> task<> {
            co_await with_scope([&](scope& s) -> task<> {
                value = s.spawn(give, 3);
                EXPECT_EQ(co_await s.spawn(give, 4).join(), 4);
            });
            try {
                co_await with_scope({.deadline = 1ms}, [&](scope& s) -> task<> {
                    stopped = s.spawn(never);
                    co_await never();
                });
            } catch (const deadline_exceeded&) {}
        });
        value.request_stop();
    }
    value.request_stop();
    stopped.request_stop();
    none.request_stop();
    rt.block_on([&]() -> task<> {
        EXPECT_EQ(co_await value.join(), 3);
        try {
            co_await stopped.join();
            ADD_FAILURE() << "it cannot have ended";
        } catch (const task_stopped& e) {
            EXPECT_EQ(e.reason(), stop_reason::deadline);  // the first reason stays
        }
    });
}

TEST_F(JoinHandle, ATaskOfTheRuntimeItselfCanBeStopped) {
    std::atomic<int> live{0};
    auto handle = rt.spawn([&]() -> task<> {
        counted here{live};
        co_await never();
    });
    wait_until([&] { return live == 1; });
    handle.request_stop();
    wait_until([&] { return handle.ended(); });
    EXPECT_EQ(live, 0);
    rt.block_on([]() -> task<> { co_await yield(); });  // the root scope is as good as before
}

TEST_F(JoinHandle, ATaskStoppedByItselfDoesNotMakeItsScopeOverrun) {
    rt.block_on([&]() -> task<> {
        // Only the child was stopped, and not by the deadline: the body's value is delivered.
        int n = co_await with_scope({.deadline = 5ms}, [&](scope& s) -> task<int> {
            auto victim = s.spawn(never);
            victim.request_stop();
            while (!s.stop_requested()) std::this_thread::yield();
            co_return 8;
        });
        EXPECT_EQ(n, 8);
    });
}

TEST_F(JoinHandle, ATaskStoppedThatIsRaisedAfterTheTasksOwnStopDoesNotFailTheScope) {
    rt.block_on([&]() -> task<> {
        bool ran_on = false;
        co_await with_scope([&](scope& s) -> task<> {
            auto victim = s.spawn([]() -> task<> {
                while (!this_task::stop_requested()) std::this_thread::yield();
                throw task_stopped{};
                co_return;
            });
            victim.request_stop();
            EXPECT_THROW(co_await victim.join(), task_stopped);
            co_await yield();
            ran_on = true;
        });
        EXPECT_TRUE(ran_on);
    });
}

TEST_F(JoinHandle, AShieldHoldsAgainstTheStopOfOneTask) {
    gate shut;
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            bool finished = false;
            auto victim = s.spawn([&]() -> task<> {
                co_await shield([&]() -> task<> {
                    co_await shut.wait();
                    finished = true;
                }());
                co_await checkpoint();
                ADD_FAILURE() << "went on after a stop";
            });
            co_await until([&] { return shut.waiting() == 1; });
            victim.request_stop();
            shut.open();
            EXPECT_FALSE(co_await victim.join_optional());
            EXPECT_TRUE(finished);
        });
    });
}

TEST_F(JoinHandle, ATaskMayStopItselfAndItsParent) {
    gate known;
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            join_handle<> self;
            self = s.spawn([&]() -> task<> {
                co_await known.wait();
                self.request_stop();
                co_await yield();
                ADD_FAILURE() << "went on after a stop";
            });
            known.open();
            EXPECT_FALSE(co_await self.join_optional());
        });
    });
}

TEST_F(JoinHandle, NameIsWhatTheTaskCallsItself) {
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            auto handle = s.spawn([]() -> task<> {
                this_task::set_name("session");
                co_await when_all(with_scope([](scope&) -> task<> {
                    EXPECT_EQ(this_task::name(), "session");  // two levels down
                    co_return;
                }));
                co_await never();
            });
            EXPECT_EQ(join_handle<>{}.name(), "");
            co_await until([&] { return handle.name() == "session"; });
            handle.request_stop();
            EXPECT_FALSE(co_await handle.join_optional());
            EXPECT_EQ(handle.name(), "session");
        });
    });
}

using JoinHandleDeathTest = JoinHandle;

TEST_F(JoinHandleDeathTest, JoiningAnEmptyHandleIsNamed) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_DEATH((void)join_handle<int>{}.join(), "MISUSE: join\\(\\) on an empty join_handle");
}

TEST_F(JoinHandleDeathTest, TwoJoinersAtOnceAreNamed) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_DEATH(rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            auto handle = s.spawn(never);
            auto join = [&]() -> task<> { co_await handle.join(); };
            s.spawn(join);
            s.spawn(join);
            co_await never();
        });
    }),
                 "MISUSE: two tasks join the same join_handle");
}

}  // namespace
}  // namespace belay
