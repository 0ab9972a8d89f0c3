// Scopes, combinators, cleanups, strands and pools under many seeds, and stopped and failing at each of their awaits.
#include <belay/runtime/async_generator.hpp>
#include <belay/runtime/blocking.hpp>
#include <belay/runtime/finally.hpp>
#include <belay/runtime/for_each.hpp>
#include <belay/runtime/join_handle.hpp>
#include <belay/runtime/map.hpp>
#include <belay/runtime/retry.hpp>
#include <belay/runtime/scope.hpp>
#include <belay/runtime/shield.hpp>
#include <belay/runtime/sleep.hpp>
#include <belay/runtime/started.hpp>
#include <belay/runtime/stopped_as.hpp>
#include <belay/runtime/strand.hpp>
#include <belay/runtime/timeout.hpp>
#include <belay/runtime/when_all.hpp>
#include <belay/runtime/when_any.hpp>
#include <belay/runtime/yield.hpp>
#include <belay/tests/kit/everywhere.hpp>
#include <belay/tests/kit/gtest.hpp>

#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace belay {
namespace {

using namespace std::chrono_literals;

/// How many are alive: promise 1 in a number.
struct alive {
    int count = 0;
    struct here {
        alive& of;
        explicit here(alive& a) : of{a} { ++of.count; }
        here(const here&) = delete;
        here& operator=(const here&) = delete;
        ~here() { --of.count; }
    };
};

class SimulatedTasks : public ::testing::Test {
protected:
    /// Nothing that the program made outlives it, whatever happens to it.
    void expect_clean(const kit::program& run, std::size_t least_stops = 5) {
        auto all = kit::run_everywhere_test({.check = [this]() -> std::string {
                                                int left = std::exchange(living.count, 0);
                                                return left == 0 ? "" : std::to_string(left) + " objects were not destroyed";
                                            }},
                                            run);
        EXPECT_GE(all.stops, least_stops);
    }
    task<int> work(std::chrono::microseconds time, int result) {
        alive::here here{living};
        co_await sleep_for(time);
        co_return result;
    }
    alive living;
};

TEST_F(SimulatedTasks, AScopeEndsAfterItsTasks) {
    expect_clean([this](simulation&) -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            for (int i = 0; i < 3; ++i)
                s.spawn([&]() -> task<> {
                    co_await work(100us, 1);
                    co_await with_scope([&](scope& inner) -> task<> {
                        inner.spawn([&]() -> task<> { co_await work(50us, 2); });
                        co_return;
                    });
                });
            co_await yield();
        });
        EXPECT_EQ(living.count, 0);
    });
}

TEST_F(SimulatedTasks, TheFirstErrorStopsTheSiblings) {
    expect_clean([this](simulation&) -> task<> {
        bool thrown = false;
        try {
            co_await with_scope([&](scope& s) -> task<> {
                s.spawn([&]() -> task<> { co_await work(1h, 1); });
                s.spawn([&]() -> task<> {
                    co_await yield();
                    throw std::runtime_error("mine");
                });
                co_await work(1h, 2);
            });
        } catch (const std::runtime_error& error) {
            thrown = true;
        }
        EXPECT_TRUE(thrown);
        EXPECT_EQ(living.count, 0);
    });
}

TEST_F(SimulatedTasks, AFullScopeMakesItsSpawnerWait) {
    expect_clean([this](simulation&) -> task<> {
        co_await with_scope({.max_tasks = 2}, [&](scope& s) -> task<> {
            for (int i = 0; i < 5; ++i) {
                co_await s.spawn_when_free([&]() -> task<> {
                    EXPECT_LE(living.count, 1);
                    co_await work(10us, 0);
                });
            }
        });
        EXPECT_EQ(living.count, 0);
    });
}

TEST_F(SimulatedTasks, WhenAllAndWhenAnyAwaitAllBranches) {
    expect_clean([this](simulation&) -> task<> {
        auto [a, b] = co_await when_all(work(10us, 1), work(20us, 2));
        EXPECT_EQ(a + b, 3);
        co_await when_any(work(10us, 1), work(10us, 2), work(1h, 3));
        EXPECT_EQ(living.count, 0);
        std::vector<task<int>> many;
        for (int i = 0; i < 4; ++i) many.push_back(work(10us, i));
        auto results = co_await when_all(std::move(many), at_most(2));
        EXPECT_EQ(results, (std::vector{0, 1, 2, 3}));
    });
}

TEST_F(SimulatedTasks, TimeoutsNestAndTheShortestWins) {
    expect_clean([this](simulation&) -> task<> {
        auto late = co_await try_timeout(1ms, [this]() -> task<int> { co_return co_await timeout(1s, work(1h, 1)); }());
        EXPECT_FALSE(late.has_value());
        auto in_time = co_await try_timeout(1s, work(1ms, 7));
        EXPECT_EQ(in_time, 7);
        EXPECT_EQ(living.count, 0);
    });
}

TEST_F(SimulatedTasks, MapKeepsItsOrderAndItsLimit) {
    expect_clean([this](simulation&) -> task<> {
        auto numbers = [](int count) -> async_generator<int> {
            for (int i = 0; i < count; ++i) {
                co_await yield();
                co_yield i;
            }
        };
        auto squares = co_await map(numbers(5), at_most(2), [this](int n) -> task<int> {
            EXPECT_LE(living.count, 1);
            co_return co_await work(std::chrono::microseconds{10 * (5 - n)}, n * n);
        });
        EXPECT_EQ(squares, (std::vector{0, 1, 4, 9, 16}));
        int sum = 0;
        co_await for_each(std::vector{1, 2, 3}, at_most(3), [&](int n) -> task<> { sum += co_await work(10us, n); });
        EXPECT_EQ(sum, 6);
    });
}

TEST_F(SimulatedTasks, ACleanupRunsHoweverTheWorkEnds) {
    int begun = 0;
    int cleaned = 0;
    // More cleanups than works: of a task that is stopped already the work is left out.
    auto missing = [&]() -> std::string {
        return std::exchange(begun, 0) <= std::exchange(cleaned, 0) ? "" : "a cleanup is missing";
    };
    auto program = [&](simulation&) -> task<> {
        for (int i = 0; i < 2; ++i) {
            co_await finally(
                [&]() -> task<> {
                    ++begun;
                    co_await work(1ms, 1);
                }(),
                [&]() -> task<> {
                    ++cleaned;  // itself not stoppable; what it awaits may fail
                    co_await sleep_for(1ms);
                });
            co_await shield(work(1ms, 1));
        }
    };
    EXPECT_GE(kit::run_everywhere_test({.check = missing}, program).stops, 10U);
}

TEST_F(SimulatedTasks, HandlesJoinStopAndLetGo) {
    expect_clean([this](simulation&) -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            auto kept = s.spawn([&]() -> task<int> { co_return co_await work(10us, 5); });
            auto stopped = s.spawn([&]() -> task<int> { co_return co_await work(1h, 6); });
            s.spawn([&]() -> task<> { co_await work(10us, 7); });  // nobody keeps its handle
            EXPECT_EQ(co_await kept.join(), 5);
            stopped.request_stop();
            auto nothing = co_await stopped.join_optional();
            EXPECT_FALSE(nothing.has_value());
        });
    });
}

TEST_F(SimulatedTasks, AStrandRunsOneTaskAtATime) {
    expect_clean([this](simulation&) -> task<> {
        strand one;
        int inside = 0;
        auto step = [&]() -> task<> {
            EXPECT_EQ(++inside, 1);
            co_await work(10us, 1);
            --inside;
        };
        auto guarded = [&]() -> task<> {
            for (int i = 0; i < 2; ++i) {
                struct leave {
                    int& n;
                    ~leave() { n = 0; }
                } always{inside};
                co_await one.run(step);
            }
        };
        co_await when_all(guarded(), guarded());
    });
}

TEST_F(SimulatedTasks, RetriesEndWithTheirWork) {
    expect_clean([this](simulation&) -> task<> {
        int left = 2;
        int result = co_await retry({.attempts = 5}, [&]() -> task<int> {
            int value = co_await work(10us, 3);
            if (left-- > 0) throw std::runtime_error("not yet");
            co_return value;
        });
        EXPECT_EQ(result, 3);
    });
}

TEST_F(SimulatedTasks, BlockingFunctionsEndOrAreNeverBegun) {
    int began = 0;
    int ended = 0;
    auto cut_short = [&]() -> std::string {
        return std::exchange(began, 0) == std::exchange(ended, 0) ? "" : "a function was cut short";
    };
    auto program = [&](simulation&) -> task<> {
        auto call = [&]() -> task<int> {
            co_return co_await spawn_blocking([&](std::stop_token) {
                ++began;
                ++ended;
                return 1;
            });
        };
        co_await when_all(call(), call(), call());
        co_await spawn_blocking([] {}, {.max_wait = 1s});
    };
    EXPECT_GE(kit::run_everywhere_test({.sim = {.blocking_threads = 1}, .check = cut_short}, program).stops, 5U);
}

TEST_F(SimulatedTasks, StopsBecomeWhatTheBoundarySays) {
    expect_clean(
        [this](simulation&) -> task<> {
            auto nothing = co_await stopped_as_optional([this]() -> task<int> {
                co_await with_scope([&](scope& s) -> task<int> {
                    s.request_stop();
                    co_return co_await work(1h, 1);
                });
                co_return 1;
            }());
            static_cast<void>(nothing);
            EXPECT_EQ(living.count, 0);
        },
        2);
}

}  // namespace
}  // namespace belay
