#include <belay/observability/guardrails.hpp>
#include <belay/runtime/scope.hpp>
#include <belay/runtime/sleep.hpp>
#include <belay/runtime/timeout.hpp>
#include <belay/runtime/when_all.hpp>
#include <belay/tests/observability/capture_sink.hpp>
#include <belay/tests/runtime/support.hpp>

#include <ranges>

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

// ---- a range of tasks --------------------------------------------------------------------------------------------

TEST_F(WhenAll, OfARangeReturnsTheValuesInOrderAndRunsNoMoreThanTheLimit) {
    rt.block_on([]() -> task<> {
        std::atomic<int> running{0};
        auto work = [&](int i) -> task<int> {
            EXPECT_LE(++running, 3);
            co_await yield();
            --running;
            co_return i;
        };
        std::vector<task<int>> tasks;
        for (int i = 0; i < 20; ++i) tasks.push_back(work(i));
        auto values = co_await when_all(std::move(tasks), at_most(3));
        for (int i = 0; i < 20; ++i) EXPECT_EQ(values.at(static_cast<std::size_t>(i)), i);
        EXPECT_TRUE((co_await when_all(std::vector<task<int>>{}, at_most(3))).empty());
    });
}

TEST_F(WhenAll, OfARangeOfVoidReturnsNothingAndOfReferencesWrappers) {
    rt.block_on([]() -> task<> {
        std::atomic<int> ran{0};
        auto unit = [&]() -> task<> {
            ++ran;
            co_return;
        };
        std::array<task<>, 2> units{unit(), unit()};
        static_assert(std::is_same_v<decltype(when_all(std::move(units), at_most(1))), task<>>);
        co_await when_all(std::move(units), at_most(1));
        EXPECT_EQ(ran, 2);

        int object = 0;
        std::deque<task<int&>> references;
        references.push_back([](int& n) -> task<int&> { co_return n; }(object));
        auto values = co_await when_all(std::move(references), at_most(4));
        EXPECT_EQ(&values.at(0).get(), &object);
    });
}

TEST_F(WhenAll, OfAViewOrAGeneratorMakesATaskOnlyWhenThereIsAPlace) {
    rt.block_on([]() -> task<> {
        int made = 0;
        gate open;
        auto work = [&](int i) -> task<int> {
            co_await open.wait();
            co_return i;
        };
        auto lazy = [&]() -> async_generator<task<int>> {
            for (int i = 0; i < 10; ++i) {
                ++made;
                co_yield work(i);
            }
        };
        co_await with_scope([&](scope& s) -> task<> {
            s.spawn([&]() -> task<> {
                auto values = co_await when_all(lazy(), at_most(2));
                EXPECT_EQ(values.size(), 10U);
                EXPECT_EQ(values.at(9), 9);
            });
            co_await until([&] { return open.waiting() == 2; });
            EXPECT_EQ(made, 2);
            open.open();
        });
        EXPECT_EQ((co_await when_all(std::views::iota(0, 10) | std::views::transform(work), at_most(2))).size(), 10U);
    });
}

// Tasks that are not come to are nobody's mistake.
TEST_F(WhenAll, OfARangeDropsTheRestAfterAnErrorWithoutAReport) {
    std::atomic<int> live{0};
    auto before = guardrails::guardrail_counts()[guardrail::never_awaited];
    rt.block_on([&]() -> task<> {
        auto work = [](counted, bool bad) -> task<int> {
            if (bad) throw std::runtime_error("third");
            co_await yield();
            co_return 0;
        };
        std::vector<task<int>> tasks;
        for (int i = 0; i < 10; ++i) tasks.push_back(work(counted{live}, i == 2));
        EXPECT_EQ(live, 10);
        EXPECT_THROW(co_await when_all(std::move(tasks), at_most(2)), std::runtime_error);
        EXPECT_EQ(live, 0);
        std::vector<task<int>> stopped;
        for (int i = 0; i < 10; ++i)
            stopped.push_back([](counted) -> task<int> {
                co_await never();
                co_return 0;
            }(counted{live}));
        EXPECT_THROW(co_await timeout(1ms, when_all(std::move(stopped), at_most(2))), deadline_exceeded);
        EXPECT_EQ(live, 0);
    });
    EXPECT_EQ(guardrails::guardrail_counts()[guardrail::never_awaited], before);
}

}  // namespace
}  // namespace belay
