#include <belay/runtime/join_handle.hpp>
#include <belay/runtime/scope.hpp>
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
