#include <belay/observability/guardrails.hpp>
#include <belay/runtime/scope.hpp>
#include <belay/runtime/sleep.hpp>
#include <belay/runtime/when_all.hpp>
#include <belay/tests/observability/capture_sink.hpp>
#include <belay/tests/runtime/support.hpp>

namespace belay {
namespace {

using namespace test;

class WhenAll : public Suite {
protected:
    runtime rt{options()};
};

task<int> give(int n) {
    co_await yield();
    co_return n;
}
task<int> fail(std::string why) {
    throw std::runtime_error(why);
    co_return 0;
}

TEST_F(WhenAll, ReturnsTheValuesInTheOrderOfTheArguments) {
    rt.block_on([&]() -> task<> {
        auto text = []() -> task<std::string> { co_return "two"; };
        auto unit = []() -> task<> { co_return; };
        auto owned = []() -> task<std::unique_ptr<int>> { co_return std::make_unique<int>(4); };
        auto [a, b, c, d] = co_await when_all(give(1), text(), unit(), owned());
        EXPECT_EQ(a, 1);
        EXPECT_EQ(b, "two");
        static_assert(std::is_same_v<decltype(c), std::monostate>);
        EXPECT_EQ(*d, 4);
    });
}

TEST_F(WhenAll, TakesOperationsAsWellAsTasks) {
    gate shut;
    rt.block_on([&]() -> task<> {
        auto open = [&]() -> task<int> {
            co_await until([&] { return shut.waiting() == 1; });
            shut.open();
            co_return 1;
        };
        auto [waited, slept, opened] = co_await when_all(shut.wait(), sleep_for(1us), open());
        EXPECT_EQ(opened, 1);
    });
}

TEST_F(WhenAll, TheBranchesRunConcurrently) {
    rt.block_on([&]() -> task<> {
        gate a, b;
        auto first = [&]() -> task<> {
            co_await a.wait();
            b.open();
        };
        auto second = [&]() -> task<> {
            a.open();
            co_await b.wait();
        };
        co_await when_all(first(), second());
    });
}

TEST_F(WhenAll, TheFirstErrorStopsTheOthersAndIsRethrownAfterTheyHaveEnded) {
    std::atomic<int> live{0};
    rt.block_on([&]() -> task<> {
        auto wait = [&]() -> task<> {
            counted local{live};
            co_await never();
        };
        auto fail_late = [&]() -> task<> {
            co_await until([&] { return live == 2; });
            throw std::runtime_error("late");
        };
        EXPECT_THROW(co_await when_all(wait(), fail_late(), wait()), std::runtime_error);
        EXPECT_EQ(live, 0);
    });
}

TEST_F(WhenAll, AnErrorOfTheFirstBranchKeepsTheOthersFromPassingTheirFirstSuspension) {
    rt.block_on([&]() -> task<> { EXPECT_THROW(co_await when_all(fail("first"), never(), never()), std::runtime_error); });
}

// Promise 7: the second error is not lost.
TEST_F(WhenAll, AFurtherErrorIsReported) {
    captured_reports captured;
    auto before = guardrails::guardrail_counts()[guardrail::lost_error];
    std::atomic<int> arrived{0};
    rt.block_on([&]() -> task<> {
        auto racer = [&]() -> task<> {
            ++arrived;
            while (arrived < 2) std::this_thread::yield();  // both are past their last suspension
            throw std::runtime_error("race");
            co_return;
        };
        EXPECT_THROW(co_await when_all(racer(), racer()), std::runtime_error);
    });
    EXPECT_EQ(guardrails::guardrail_counts()[guardrail::lost_error], before + 1);
}

// What a stop becomes at this boundary: it passes through, because only an enclosing scope can have caused it.
TEST_F(WhenAll, AStopOfTheEnclosingScopeStopsAllBranchesAndPassesThrough) {
    std::atomic<int> live{0};
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            s.spawn([&]() -> task<> {
                auto wait = [&]() -> task<> {
                    counted local{live};
                    co_await never();
                };
                try {
                    co_await when_all(wait(), wait(), wait());
                } catch (...) {
                    ADD_FAILURE() << "a stop was caught";
                }
                ADD_FAILURE() << "went on after a stop";
            });
            co_await until([&] { return live == 3; });
            s.request_stop();
        });
        EXPECT_EQ(live, 0);
    });
}

TEST_F(WhenAll, AnErrorThatComesWithAnEnclosingStopIsDeliveredAndTheNextSuspensionStops) {
    std::atomic<bool> caught{false};
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            s.spawn([&]() -> task<> {
                auto stop_and_fail = [&]() -> task<> {
                    s.request_stop();
                    throw std::runtime_error("own error");
                    co_return;
                };
                try {
                    co_await when_all(stop_and_fail(), never());
                } catch (const std::runtime_error&) {
                    caught = true;
                }
                co_await yield();
                ADD_FAILURE() << "the stop was swallowed";
            });
            co_return;
        });
    });
    EXPECT_TRUE(caught);
}

TEST_F(WhenAll, AStopThatComesWhenAllValuesAreThereDeliversThem) {
    std::atomic<bool> delivered{false};
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            s.spawn([&]() -> task<> {
                auto stop = [&]() -> task<int> {
                    s.request_stop();
                    co_return 1;
                };
                auto two = []() -> task<int> { co_return 2; };
                auto [a, b] = co_await when_all(stop(), two());
                delivered = a == 1 && b == 2;
                co_await yield();
                ADD_FAILURE() << "the stop was swallowed";
            });
            co_return;
        });
    });
    EXPECT_TRUE(delivered);
}

TEST_F(WhenAll, IsStoppedAtOnceInAStoppedScope) {
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            s.request_stop();
            bool ran = false;
            auto work = [&]() -> task<> {
                ran = true;
                co_return;
            };
            co_await when_all(work(), work());
            ADD_FAILURE() << "went on in a stopped scope";
        });
    });
}

task<int> fib(int n) {
    if (n < 2) co_return n;
    auto [a, b] = co_await when_all(fib(n - 1), fib(n - 2));
    co_return a + b;
}

TEST_F(WhenAll, NestsAsDeepAndWideAsForkJoinNeeds) { EXPECT_EQ(rt.block_on(fib(sanitized ? 15 : 20)), sanitized ? 610 : 6765); }

TEST_F(WhenAll, AStopReachesTheLeavesOfATree) {
    std::atomic<int> leaves{0};
    struct tree {
        static task<> grow(int depth, std::atomic<int>& live) {
            if (depth == 0) {
                counted local{live};
                co_await never();
            } else {
                co_await when_all(grow(depth - 1, live), grow(depth - 1, live));
            }
        }
    };
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            s.spawn(tree::grow, 8, std::ref(leaves));
            co_await until([&] { return leaves == 256; });
            s.request_stop();
        });
        EXPECT_EQ(leaves, 0);
    });
}

}  // namespace
}  // namespace belay
