// std::stop_token in both directions: a token of ours for others, and work of ours under a token of others.
#include <belay/runtime/blocking.hpp>
#include <belay/runtime/shield.hpp>
#include <belay/runtime/sleep.hpp>
#include <belay/runtime/stop_token.hpp>
#include <belay/runtime/this_task.hpp>
#include <belay/runtime/timeout.hpp>
#include <belay/tests/runtime/support.hpp>

#include <condition_variable>
#include <stop_token>
#include <vector>

namespace belay {
namespace {

using namespace test;

class StopToken : public Suite {
protected:
    runtime rt{options()};
};

// One worker: with another one the task may unwind, and destroy its callback, before that is called.
TEST_F(StopToken, OfATaskIsStoppedWithItsScope) {
    gate begun;
    std::atomic<bool> called{false};
    runtime one{options(1)};
    one.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            s.spawn([&]() -> task<> {
                auto token = this_task::stop_token();
                EXPECT_TRUE(token.stop_possible());
                EXPECT_FALSE(token.stop_requested());
                EXPECT_EQ(token, this_task::stop_token());  // the same each time
                std::stop_callback callback{token, [&] { called = true; }};
                begun.open();
                co_await never();
            });
            co_await begun.wait();
            co_await yield();
            EXPECT_FALSE(called);
            s.request_stop();
            EXPECT_TRUE(called);  // before request_stop() returned
        });
    });
}

TEST_F(StopToken, OfATaskIsStoppedWithTheTaskAloneAndNotWithItsSiblings) {
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            std::stop_token first;
            std::stop_token second;
            std::atomic<int> asked{0};
            auto ask = [&asked](std::stop_token* out) -> task<> {
                *out = this_task::stop_token();
                ++asked;
                co_await never();
            };
            auto a = s.spawn(ask, &first);
            auto b = s.spawn(ask, &second);
            co_await until([&] { return asked == 2; });
            a.request_stop();
            EXPECT_FALSE(co_await a.join_optional());
            EXPECT_FALSE(second.stop_requested());
            b.request_stop();
            EXPECT_FALSE(co_await b.join_optional());
            EXPECT_TRUE(first.stop_requested());
            EXPECT_TRUE(second.stop_requested());
        });
    });
}

TEST_F(StopToken, OfABranchIsStoppedByItsDeadline) {
    rt.block_on([&]() -> task<> {
        std::stop_token inner;
        auto outer = this_task::stop_token();
        EXPECT_THROW(co_await timeout(50ms,
                                      [](std::stop_token* out) -> task<> {
                                          *out = this_task::stop_token();
                                          co_await never();
                                      }(&inner)),
                     deadline_exceeded);
        EXPECT_TRUE(inner.stop_requested());
        EXPECT_FALSE(outer.stop_requested());
    });
}

// Of many tasks that are stopped together the first ones have ended, on other workers, before the stop comes to their tokens.
TEST_F(StopToken, IsStoppedAlsoIfItsTaskEndsFirst) {
    constexpr std::size_t tasks = 2000;
    for (int round = 0; round < 5; ++round) {
        std::vector<std::stop_token> tokens(tasks);
        rt.block_on([&]() -> task<> {
            std::atomic<std::size_t> asked{0};
            auto ask = [&asked](std::stop_token* out) -> task<> {
                *out = this_task::stop_token();
                ++asked;
                co_await never();
            };
            co_await with_scope([&](scope& s) -> task<> {
                for (auto& token : tokens) s.spawn(ask, &token);
                while (asked != tasks) co_await yield();
                s.request_stop();
            });
        });
        for (const auto& token : tokens) ASSERT_TRUE(token.stop_requested());
    }
}

TEST_F(StopToken, OfATaskThatIsToStopAlreadyIsStopped) {
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            s.request_stop();
            EXPECT_TRUE(this_task::stop_token().stop_requested());
            EXPECT_TRUE(this_task::stop_token().stop_requested());
            co_return;
        });
    });
}

TEST_F(StopToken, OfATaskThatEndedInPeaceIsNeverStopped) {
    std::stop_token token;
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            auto handle = s.spawn([&]() -> task<> {
                token = this_task::stop_token();
                co_return;
            });
            co_await handle.join();
            s.request_stop();
        });
    });
    EXPECT_FALSE(token.stop_requested());
    EXPECT_FALSE(token.stop_possible());  // and nothing of it is kept
}

TEST_F(StopToken, InsideAShieldIsStoppedWhenTheGraceIsOver) {
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            auto shielded_work = []() -> task<> {
                auto token = this_task::stop_token();
                EXPECT_FALSE(token.stop_requested());
                while (!token.stop_requested()) co_await yield();
            };
            s.request_stop();
            co_await shield(shielded_work(), 2ms);
        });
    });
}

TEST_F(StopToken, StopsABlockingFunctionThatWaitsOnAConditionVariable) {
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            std::atomic<bool> waits{false};
            auto handle = s.spawn([&]() -> task<bool> {
                // Not a co_await inside the lambda: the token is the task's.
                auto token = this_task::stop_token();
                co_return co_await spawn_blocking([&waits, token] {
                    std::mutex lock;
                    std::condition_variable_any changed;
                    std::unique_lock guard(lock);
                    waits = true;
                    return changed.wait(guard, token, [] { return false; });
                });
            });
            co_await until([&] { return waits.load(); });
            handle.request_stop();
            // A blocking function that has started is waited for, and its value is delivered.
            EXPECT_FALSE(co_await handle.join());
        });
    });
}

TEST_F(StopToken, ACallbackMayStopOtherScopesAndAskForMore) {
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& a) -> task<> {
            co_await with_scope([&](scope& b) -> task<> {
                std::stop_callback callback{this_task::stop_token(), [&] {
                                                b.request_stop();
                                                a.request_stop();
                                            }};
                b.spawn(never);
                b.request_stop();
                EXPECT_TRUE(a.stop_requested());
                co_return;
            });
            ADD_FAILURE() << "went on in a stopped scope";
        });
    });
}

TEST_F(StopToken, OutsideOfATaskIsNeverStopped) { EXPECT_FALSE(this_task::stop_token().stop_possible()); }

// ---- with_stop_token --------------------------------------------------------------------------------------------------

TEST_F(StopToken, OfAnotherStopsTheWorkWithReasonRequested) {
    std::stop_source source;
    std::atomic<bool> waits{false};
    stop_reason seen = stop_reason::none;
    struct at_end {
        stop_reason& out;
        ~at_end() { out = this_task::stop_reason(); }
    };
    std::thread host{[&] {
        wait_until([&] { return waits.load(); });
        source.request_stop();
    }};
    bool went_on = false;
    rt.block_on([&]() -> task<> {
        co_await with_stop_token(source.get_token(), [&]() -> task<> {
            at_end look{seen};
            waits = true;
            co_await never();
        }());
        co_await yield();
        went_on = true;
    });
    host.join();
    EXPECT_TRUE(went_on);  // as a scope's own request_stop
    EXPECT_EQ(seen, stop_reason::requested);
}

TEST_F(StopToken, OfAnotherThrowsTaskStoppedWhereAValueIsOwed) {
    std::stop_source source;
    source.request_stop();  // already: the work runs to its first suspension
    rt.block_on([&]() -> task<> {
        bool began = false;
        auto work = [&]() -> task<int> {
            began = true;
            co_await yield();
            co_return 1;
        };
        try {
            co_await with_stop_token(source.get_token(), work());
            ADD_FAILURE() << "no task_stopped";
        } catch (const task_stopped& e) {
            EXPECT_EQ(e.reason(), stop_reason::requested);
        }
        EXPECT_TRUE(began);
    });
}

TEST_F(StopToken, OfAnotherThatIsNeverStoppedChangesNothing) {
    rt.block_on([&]() -> task<> {
        std::stop_source source;
        EXPECT_EQ(co_await with_stop_token(source.get_token(), []() -> task<int> { co_return 4; }()), 4);
        EXPECT_THROW(co_await with_stop_token(std::stop_token{},
                                              []() -> task<> {
                                                  throw std::out_of_range("work");
                                                  co_return;
                                              }()),
                     std::out_of_range);
        EXPECT_TRUE(co_await with_stop_token(source.get_token(), [](scope& s) -> task<bool> {
            co_await s.spawn([]() -> task<> { co_await yield(); }).join();
            co_return true;
        }));
        source.request_stop();  // nobody listens any more
        co_await yield();
    });
}

TEST_F(StopToken, OfAnotherStopsAWholeScopeWithItsChildren) {
    std::atomic<int> live{0};
    rt.block_on([&]() -> task<> {
        std::stop_source source;
        join_handle<> child;
        co_await with_stop_token(source.get_token(), {.name = "session"}, [&](scope& s) -> task<> {
            EXPECT_EQ(s.name(), "session");
            child = s.spawn([&]() -> task<> {
                counted here{live};
                co_await never();
            });
            co_await until([&] { return live == 1; });
            source.request_stop();
        });
        EXPECT_EQ(live, 0);
        try {
            co_await child.join();
        } catch (const task_stopped& e) {
            EXPECT_EQ(e.reason(), stop_reason::requested);
        }
    });
}

TEST_F(StopToken, AStopOfTheEnclosingScopePassesThroughAndEndsTheCallback) {
    std::stop_source source;
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            s.spawn([&]() -> task<> {
                co_await with_stop_token(source.get_token(), never());
                ADD_FAILURE() << "went on after a stop";
            });
            for (int i = 0; i < 20; ++i) co_await yield();
            s.request_stop();
        });
    });
    source.request_stop();  // would call into a scope that has gone
}

// A task's own token given to work of its own: both directions in one.
TEST_F(StopToken, OursWorksAsAnothers) {
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            auto token = this_task::stop_token();
            auto watched = s.spawn([token]() -> task<> { co_await with_stop_token(token, never()); });
            for (int i = 0; i < 20; ++i) co_await yield();
            s.request_stop();
        });
    });
}

}  // namespace
}  // namespace belay
