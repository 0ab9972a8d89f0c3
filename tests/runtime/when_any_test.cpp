#include <belay/observability/guardrails.hpp>
#include <belay/runtime/scope.hpp>
#include <belay/runtime/sleep.hpp>
#include <belay/runtime/this_task.hpp>
#include <belay/runtime/when_any.hpp>
#include <belay/tests/observability/capture_sink.hpp>
#include <belay/tests/runtime/support.hpp>

#include <list>
#include <ranges>

namespace belay {
namespace {

using namespace test;

class WhenAny : public Suite {
protected:
    runtime rt{options()};
};

task<int> give(int n) { co_return n; }

TEST_F(WhenAny, TheFirstValueWinsAndTheLosersAreStoppedAndAwaited) {
    std::atomic<int> live{0};
    rt.block_on([&]() -> task<> {
        auto wait = [&]() -> task<int> {
            counted local{live};
            co_await never();
            co_return 0;
        };
        auto win = [&]() -> task<std::string> {
            co_await until([&] { return live == 2; });
            co_return "won";
        };
        auto won = co_await when_any(wait(), win(), wait());
        EXPECT_EQ(live, 0);
        EXPECT_EQ(won.index, 1U);
        EXPECT_EQ(std::get<1>(won.values), "won");
        EXPECT_FALSE(std::get<0>(won.values));
        EXPECT_FALSE(std::get<2>(won.values));
    });
}

TEST_F(WhenAny, AnErrorThatComesFirstDecidesToo) {
    std::atomic<int> live{0};
    rt.block_on([&]() -> task<> {
        auto wait = [&]() -> task<> {
            counted local{live};
            co_await never();
        };
        auto fail = [&]() -> task<> {
            co_await until([&] { return live == 1; });
            throw std::runtime_error("first");
        };
        EXPECT_THROW(co_await when_any(wait(), fail()), std::runtime_error);
        EXPECT_EQ(live, 0);
    });
}

// Promise 2: a value that came before the stop is not lost.
TEST_F(WhenAny, ALoserThatHasItsValueAlreadyReturnsItToo) {
    std::atomic<int> arrived{0};
    rt.block_on([&]() -> task<> {
        auto racer = [&](int n) -> task<int> {
            ++arrived;
            while (arrived < 2) std::this_thread::yield();
            co_return n;
        };
        auto won = co_await when_any(racer(1), racer(2));
        EXPECT_EQ(std::get<0>(won.values), 1);
        EXPECT_EQ(std::get<1>(won.values), 2);
        EXPECT_LT(won.index, 2U);
    });
}

// Promise 7.
TEST_F(WhenAny, AnErrorOfALoserIsReported) {
    captured_reports captured;
    auto before = guardrails::guardrail_counts()[guardrail::lost_error];
    std::atomic<int> arrived{0};
    rt.block_on([&]() -> task<> {
        auto win = [&]() -> task<> {
            while (arrived < 1) std::this_thread::yield();
            co_return;
        };
        auto lose = [&]() -> task<> {
            ++arrived;
            while (!this_task::stop_requested()) std::this_thread::yield();
            throw std::runtime_error("loser");
            co_return;
        };
        auto won = co_await when_any(win(), lose());
        EXPECT_EQ(won.index, 0U);
    });
    EXPECT_EQ(guardrails::guardrail_counts()[guardrail::lost_error], before + 1);
}

TEST_F(WhenAny, ALoserWhoseTaskStoppedIsAConsequenceOfTheStopReportsNothing) {
    captured_reports captured;
    rt.block_on([&]() -> task<> {
        auto lose = [&]() -> task<int> {
            co_return co_await with_scope([](scope& s) -> task<int> {
                s.request_stop();
                co_await never();
                co_return 1;
            });
        };
        auto stopped_inside = [&]() -> task<> {
            try {
                (void)co_await lose();
                ADD_FAILURE() << "no task_stopped";
            } catch (const task_stopped&) {
                while (!this_task::stop_requested()) std::this_thread::yield();
                throw;
            }
        };
        auto win = []() -> task<> {
            for (int i = 0; i < 50; ++i) co_await yield();
        };
        auto won = co_await when_any(win(), stopped_inside());
        EXPECT_EQ(won.index, 0U);
    });
    EXPECT_EQ(captured.sink->of(guardrail::lost_error).size(), 0U);
}

TEST_F(WhenAny, IfAllBranchesWereStoppedByAnEnclosingScopeItIsStopped) {
    std::atomic<int> live{0};
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            s.spawn([&]() -> task<> {
                auto wait = [&]() -> task<> {
                    counted local{live};
                    co_await never();
                };
                try {
                    co_await when_any(wait(), wait());
                } catch (...) {
                    ADD_FAILURE() << "a stop was caught";
                }
                ADD_FAILURE() << "went on after a stop";
            });
            co_await until([&] { return live == 2; });
            s.request_stop();
        });
        EXPECT_EQ(live, 0);
    });
}

TEST_F(WhenAny, AValueThatComesWithAnEnclosingStopIsDeliveredAndTheNextSuspensionStops) {
    std::atomic<bool> delivered{false};
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            s.spawn([&]() -> task<> {
                auto stop_and_win = [&]() -> task<int> {
                    s.request_stop();
                    co_return 3;
                };
                auto won = co_await when_any(never(), stop_and_win());
                delivered = won.index == 1 && std::get<1>(won.values) == 3;
                co_await yield();
                ADD_FAILURE() << "the stop was swallowed";
            });
            co_return;
        });
    });
    EXPECT_TRUE(delivered);
}

TEST_F(WhenAny, AnErrorThatComesWithAnEnclosingStopIsDelivered) {
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
                    co_await when_any(never(), stop_and_fail());
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

TEST_F(WhenAny, TheFirstBranchMayWinBeforeTheOthersBegin) {
    runtime one{options(1)};
    one.block_on([&]() -> task<> {
        for (int i = 0; i < 100; ++i) {
            auto won = co_await when_any(give(i), never());
            EXPECT_EQ(won.index, 0U);
            EXPECT_EQ(std::get<0>(won.values), i);
        }
    });
}

TEST_F(WhenAny, OneBranchIsEnough) {
    rt.block_on([&]() -> task<> {
        auto won = co_await when_any(give(5));
        EXPECT_EQ(std::get<0>(won.values), 5);
    });
}

TEST_F(WhenAny, KeepsAReferenceAsAReference) {
    rt.block_on([&]() -> task<> {
        int value = 1;
        auto refer = [](int& to) -> task<int&> { co_return to; };
        auto won = co_await when_any(refer(value), never());
        std::get<0>(won.values)->get() = 2;
        EXPECT_EQ(value, 2);
    });
}

TEST_F(WhenAny, TakesOperations) {
    rt.block_on([&]() -> task<> {
        gate shut;
        auto won = co_await when_any(shut.wait(), sleep_for(1ms));
        EXPECT_EQ(won.index, 1U);
    });
}

// ---- a range of tasks --------------------------------------------------------------------------------------------

TEST_F(WhenAny, OfARangeReturnsTheWinnerAndWhatTheOthersStillProduced) {
    rt.block_on([]() -> task<> {
        gate both;
        std::atomic<int> live{0};
        auto quick = [&](int i) -> task<std::unique_ptr<int>> {
            co_await both.wait();
            co_return std::make_unique<int>(i);
        };
        auto stuck = [&]() -> task<std::unique_ptr<int>> {
            counted local{live};
            co_await never();
            co_return nullptr;
        };
        std::vector<task<std::unique_ptr<int>>> tasks;
        tasks.push_back(stuck());
        tasks.push_back(quick(1));
        tasks.push_back(quick(2));
        tasks.push_back([](gate& g, std::atomic<int>& l) -> task<std::unique_ptr<int>> {
            co_await until([&] { return g.waiting() == 2 && l == 1; });
            g.open();  // completes both of them; a stop comes too late for the second
            co_await never();
            co_return nullptr;
        }(both, live));
        auto won = co_await when_any(std::move(tasks));
        EXPECT_EQ(live, 0);
        EXPECT_EQ(won.values.size(), 4U);
        EXPECT_TRUE(won.index == 1 || won.index == 2);
        EXPECT_EQ(*won.values.at(won.index).value(), static_cast<int>(won.index));
        EXPECT_EQ(*won.values.at(3 - won.index).value(), static_cast<int>(3 - won.index));
        EXPECT_FALSE(won.values.at(0).has_value());
    });
}

TEST_F(WhenAny, OfARangeOfOneOrOfManyOrOfVoid) {
    rt.block_on([]() -> task<> {
        std::list<task<>> one;
        one.push_back([]() -> task<> { co_return; }());
        auto won = co_await when_any(std::move(one));
        EXPECT_EQ(won.index, 0U);
        EXPECT_TRUE(won.values.at(0).has_value());

        auto many = std::views::iota(0, 100'000) | std::views::transform([](int i) -> task<int> {
                        if (i != 77) co_await never();
                        co_return i;
                    });
        auto found = co_await when_any(std::move(many));
        EXPECT_EQ(found.index, 77U);
        EXPECT_EQ(found.values.at(77), 77);
    });
}

TEST_F(WhenAny, OfARangeRethrowsAnErrorThatCameFirst) {
    std::atomic<int> live{0};
    rt.block_on([&]() -> task<> {
        std::vector<task<int>> tasks;
        tasks.push_back([](std::atomic<int>& l) -> task<int> {
            counted local{l};
            co_await never();
            co_return 0;
        }(live));
        tasks.push_back([](std::atomic<int>& l) -> task<int> {
            co_await until([&] { return l == 1; });
            throw std::runtime_error("first");
        }(live));
        EXPECT_THROW(co_await when_any(std::move(tasks)), std::runtime_error);
        EXPECT_EQ(live, 0);
        EXPECT_THROW((void)when_any(std::vector<task<int>>{}), std::invalid_argument);
    });
}

TEST_F(WhenAny, OfARangeIsStoppedWithItsScope) {
    std::atomic<int> live{0};
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            s.spawn([&]() -> task<> {
                std::vector<task<>> tasks;
                for (int i = 0; i < 5; ++i)
                    tasks.push_back([](std::atomic<int>& l) -> task<> {
                        counted local{l};
                        co_await never();
                    }(live));
                co_await when_any(std::move(tasks));
                ADD_FAILURE() << "went on after a stop";
            });
            co_await until([&] { return live == 5; });
            s.request_stop();
        });
        EXPECT_EQ(live, 0);
    });
}

}  // namespace
}  // namespace belay
