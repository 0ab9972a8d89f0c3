// What a deadline becomes at its boundary. No test measures time: deadlines are events that come by themselves.
#include <belay/runtime/scope.hpp>
#include <belay/runtime/sleep.hpp>
#include <belay/runtime/this_task.hpp>
#include <belay/runtime/timeout.hpp>
#include <belay/tests/runtime/support.hpp>

namespace belay {
namespace {

using namespace test;

class Timeout : public Suite {
protected:
    runtime rt{options()};
};

task<int> give(int n) {
    co_await yield();
    co_return n;
}
task<int> wait_and_give(int n) {
    co_await never();
    co_return n;
}

TEST_F(Timeout, WorkThatEndsInTimeReturnsItsValue) {
    rt.block_on([&]() -> task<> {
        EXPECT_EQ(co_await timeout(1h, give(5)), 5);
        EXPECT_EQ(co_await try_timeout(1h, give(6)), 6);
        EXPECT_TRUE(co_await try_timeout(1h, yield()));
        EXPECT_EQ(co_await timeout(std::chrono::steady_clock::now() + 1h, give(7)), 7);
        EXPECT_EQ(co_await timeout(std::chrono::hours::max(), give(8)), 8);
    });
}

TEST_F(Timeout, WorkThatOverrunsIsStoppedAndAwaitedThenDeadlineExceededIsThrown) {
    std::atomic<int> live{0};
    rt.block_on([&]() -> task<> {
        auto work = [&]() -> task<> {
            counted local{live};
            co_await never();
        };
        EXPECT_THROW(co_await timeout(1ms, work()), deadline_exceeded);
        EXPECT_EQ(live, 0);
        EXPECT_EQ(co_await try_timeout(1ms, wait_and_give(1)), std::nullopt);
        EXPECT_FALSE(co_await try_timeout(1ms, work()));
        EXPECT_EQ(live, 0);
        EXPECT_THROW(co_await timeout(std::chrono::steady_clock::now() + 1ms, work()), deadline_exceeded);
        EXPECT_THROW(co_await timeout(0ms, work()), deadline_exceeded);
        EXPECT_THROW(co_await timeout(-1h, work()), deadline_exceeded);
    });
}

TEST_F(Timeout, ErrorsOfTheWorkPassThrough) {
    rt.block_on([&]() -> task<> {
        auto fail = []() -> task<int> {
            throw std::runtime_error("work");
            co_return 0;
        };
        EXPECT_THROW(co_await timeout(1h, fail()), std::runtime_error);
        EXPECT_THROW(co_await try_timeout(1h, fail()), std::runtime_error);
    });
}

// Promise 2: the result won the race, so it is delivered.
TEST_F(Timeout, AValueThatComesAfterTheDeadlineButWithoutHavingBeenStoppedIsReturned) {
    rt.block_on([&]() -> task<> {
        auto compute = []() -> task<int> {
            while (this_task::stop_reason() != stop_reason::deadline) std::this_thread::yield();  // hogs past its deadline
            co_return 9;
        };
        EXPECT_EQ(co_await timeout(1ms, compute()), 9);
        EXPECT_EQ(co_await try_timeout(1ms, compute()), 9);
    });
}

TEST_F(Timeout, AnInnerDeadlineIsAnErrorOfTheWorkForTheOuterOne) {
    rt.block_on([&]() -> task<> {
        auto inner = []() -> task<int> { co_return co_await timeout(1ms, wait_and_give(1)); };
        EXPECT_THROW(co_await timeout(1h, inner()), deadline_exceeded);
        EXPECT_THROW(co_await try_timeout(1h, inner()), deadline_exceeded);  // not empty: it was not this one
    });
}

TEST_F(Timeout, AnEnclosingDeadlineThatComesFirstPassesThroughTheInnerOne) {
    rt.block_on([&]() -> task<> {
        auto inner = []() -> task<int> {
            try {
                co_return co_await timeout(1h, wait_and_give(1));
            } catch (...) {
                ADD_FAILURE() << "a stop was caught";
                throw;
            }
        };
        EXPECT_THROW(co_await timeout(1ms, inner()), deadline_exceeded);
        EXPECT_EQ(co_await try_timeout(1ms, inner()), std::nullopt);
    });
}

TEST_F(Timeout, AStopOfTheEnclosingScopePassesThrough) {
    std::atomic<int> live{0};
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            auto work = [&]() -> task<> {
                counted local{live};
                co_await never();
            };
            s.spawn([&]() -> task<> {
                try {
                    co_await timeout(1h, work());
                } catch (...) {
                    ADD_FAILURE() << "a stop was caught";
                }
                ADD_FAILURE() << "went on after a stop";
            });
            s.spawn([&]() -> task<> {
                co_await try_timeout(1h, work());
                ADD_FAILURE() << "went on after a stop";
            });
            co_await until([&] { return live == 2; });
            s.request_stop();
        });
        EXPECT_EQ(live, 0);
    });
}

TEST_F(Timeout, AScopesOwnDeadlineStopsAllChildrenAndThrowsDeadlineExceeded) {
    std::atomic<int> live{0};
    rt.block_on([&]() -> task<> {
        EXPECT_THROW(co_await with_scope({.deadline = 2ms},
                                         [&](scope& s) -> task<> {
                                             for (int i = 0; i < 20; ++i) {
                                                 s.spawn([&]() -> task<> {
                                                     counted local{live};
                                                     co_await never();
                                                 });
                                             }
                                             co_return;
                                         }),
                     deadline_exceeded);
        EXPECT_EQ(live, 0);
        // By a time point, and with a value.
        EXPECT_THROW(co_await with_scope({.deadline = std::chrono::steady_clock::now() + 1ms},
                                         [&](scope&) -> task<int> { co_return co_await wait_and_give(1); }),
                     deadline_exceeded);
    });
}

TEST_F(Timeout, AnErrorBeforeTheDeadlineIsWhatTheScopeThrows) {
    rt.block_on([&]() -> task<> {
        EXPECT_THROW(co_await with_scope({.deadline = 1h},
                                         [&](scope& s) -> task<> {
                                             s.spawn([]() -> task<> {
                                                 throw std::out_of_range("child");
                                                 co_return;
                                             });
                                             co_await never();
                                         }),
                     std::out_of_range);
    });
}

TEST_F(Timeout, TheEffectiveDeadlineIsTheMinimumUpTheTree) {
    rt.block_on([&]() -> task<> {
        EXPECT_FALSE(this_task::deadline());
        auto near = std::chrono::steady_clock::now() + 1h;
        auto far = near + 1h;
        co_await with_scope({.deadline = near}, [&](scope& s) -> task<> {
            EXPECT_EQ(this_task::deadline(), near);
            co_await with_scope({.deadline = far}, [&](scope&) -> task<> {
                EXPECT_EQ(this_task::deadline(), near);
                co_return;
            });
            auto look = [&]() -> task<> {
                EXPECT_EQ(this_task::deadline(), near);
                co_return;
            };
            co_await s.spawn(look).join();
            co_await timeout(far, look());
        });
        EXPECT_FALSE(this_task::deadline());
    });
}

TEST_F(Timeout, TryTimeoutTakesATimePointAndWorkOfAnyKind) {
    rt.block_on([&]() -> task<> {
        auto soon = std::chrono::steady_clock::now() + 1ms;
        auto late = std::chrono::steady_clock::now() + 1h;
        EXPECT_EQ(co_await try_timeout(soon, wait_and_give(1)), std::nullopt);
        EXPECT_EQ(co_await try_timeout(late, give(2)), std::optional<int>(2));
        EXPECT_FALSE(co_await try_timeout(soon, never()));  // passed already
        EXPECT_TRUE(co_await try_timeout(late, yield()));
        int n = 0;
        auto ref = co_await try_timeout(late, [&]() -> task<int&> { co_return n; }());
        EXPECT_EQ(&ref->get(), &n);
    });
}

TEST_F(Timeout, ADeadlineInAStoppedScopeNeverBegins) {
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            s.request_stop();
            co_await timeout(1h, give(1));
            ADD_FAILURE() << "went on in a stopped scope";
        });
    });
}

TEST_F(Timeout, ThousandsOfDeadlinesLeaveNoTimerBehind) {
    rt.block_on([&]() -> task<> {
        for (int i = 0; i < 2000; ++i) co_await timeout(1h, give(i));
    });
    std::size_t armed = 0;
    for (const auto& w : rt.metrics().workers) armed += w.timers;
    EXPECT_EQ(armed, 0U);
}

}  // namespace
}  // namespace belay
