#include <belay/observability/guardrails.hpp>
#include <belay/runtime/finally.hpp>
#include <belay/runtime/sleep.hpp>
#include <belay/runtime/this_task.hpp>
#include <belay/runtime/timeout.hpp>
#include <belay/tests/observability/capture_sink.hpp>
#include <belay/tests/runtime/support.hpp>

namespace belay {
namespace {

using namespace test;

class Finally : public Suite {
protected:
    runtime rt{options()};
    event_log log;

    /// A cleanup that suspends, and says when it is through.
    auto cleanup(std::string name = "cleanup") {
        return [this, name]() -> task<> {
            log.add(name + " begins");
            for (int i = 0; i < 3; ++i) co_await yield();
            log.add(name + " ends");
        };
    }
    task<> wait_and_log(gate& begun, std::string name) {
        logs_end local{log, name + " unwound"};
        begun.open();
        co_await never();
    }
};

TEST_F(Finally, CleansUpAfterAValue) {
    int n = 0;
    rt.block_on([&]() -> task<> {
        EXPECT_EQ(co_await finally(
                      [&]() -> task<int> {
                          log.add("work");
                          co_return 5;
                      }(),
                      cleanup()),
                  5);
        co_await finally(yield(), cleanup("second"));
        int& r = co_await finally([&]() -> task<int&> { co_return n; }(), []() -> task<> { co_return; });
        EXPECT_EQ(&r, &n);
        auto p = co_await finally([]() -> task<std::unique_ptr<int>> { co_return std::make_unique<int>(6); }(),
                                  [keep = std::make_unique<int>(1)]() -> task<> { co_return; });
        EXPECT_EQ(*p, 6);
    });
    EXPECT_EQ(log.text(), "work, cleanup begins, cleanup ends, second begins, second ends");
}

TEST_F(Finally, CleansUpAfterAnErrorAndRethrowsIt) {
    rt.block_on([&]() -> task<> {
        EXPECT_THROW(co_await finally(
                         []() -> task<int> {
                             co_await yield();
                             throw std::out_of_range("work");
                         }(),
                         cleanup()),
                     std::out_of_range);
    });
    EXPECT_EQ(log.text(), "cleanup begins, cleanup ends");
}

TEST_F(Finally, CleansUpAfterAStopAndThenTheCallerUnwinds) {
    gate begun;
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            s.spawn([&]() -> task<> {
                logs_end local{log, "caller unwound"};
                co_await finally(wait_and_log(begun, "work"), cleanup());
                ADD_FAILURE() << "went on after a stop";
            });
            co_await begun.wait();
            s.request_stop();
        });
    });
    EXPECT_EQ(log.text(), "work unwound, cleanup begins, cleanup ends, caller unwound");
}

TEST_F(Finally, InAStoppedScopeTheWorkDoesNotBeginAndTheCleanupRuns) {
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            s.request_stop();
            co_await finally(
                [&]() -> task<> {
                    ADD_FAILURE() << "began in a stopped scope";
                    co_return;
                }(),
                cleanup());
            ADD_FAILURE() << "went on after a stop";
        });
    });
    EXPECT_EQ(log.text(), "cleanup begins, cleanup ends");
}

TEST_F(Finally, AValueThatWonAgainstTheStopIsDeliveredAndTheNextSuspensionStops) {
    bool delivered = false;
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            int n = co_await finally(
                [&]() -> task<int> {
                    s.request_stop();
                    co_return 7;
                }(),
                cleanup());
            delivered = n == 7;
            co_await yield();
            ADD_FAILURE() << "the stop was swallowed";
        });
    });
    EXPECT_TRUE(delivered);
    EXPECT_EQ(log.text(), "cleanup begins, cleanup ends");
}

TEST_F(Finally, AStopDuringTheCleanupWaitsForIt) {
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            co_await finally([]() -> task<> { co_return; }(),
                             [&]() -> task<> {
                                 s.request_stop();
                                 EXPECT_FALSE(this_task::stop_requested());
                                 co_await yield();
                                 co_await sleep_for(1ms);
                                 log.add("cleaned");
                             });
            log.add("went on");
            co_await yield();
            ADD_FAILURE() << "the stop was swallowed";
        });
    });
    EXPECT_EQ(log.text(), "cleaned, went on");
}

TEST_F(Finally, OfTwoErrorsThatOfTheWorkWinsAndTheOtherIsCountedAndReported) {
    captured_reports captured;
    auto before = guardrails::guardrail_counts()[guardrail::lost_error];
    rt.block_on([&]() -> task<> {
        EXPECT_THROW(co_await finally(
                         []() -> task<> {
                             throw std::out_of_range("work");
                             co_return;
                         }(),
                         []() -> task<> {
                             throw std::runtime_error("close failed");
                             co_return;
                         }),
                     std::out_of_range);
    });
    EXPECT_EQ(guardrails::guardrail_counts()[guardrail::lost_error], before + 1);
    auto reports = captured.sink->of(guardrail::lost_error);
    ASSERT_EQ(reports.size(), 1U);
    EXPECT_NE(reports[0].to_text().find("close failed"), std::string::npos);
    EXPECT_NE(reports[0].to_text().find("finally_test.cpp"), std::string::npos) << reports[0].to_text();
}

TEST_F(Finally, AnErrorOfTheCleanupAloneIsThrownAlsoAfterAStop) {
    gate begun;
    auto fails = []() -> task<> {
        co_await yield();
        throw std::runtime_error("close failed");
    };
    auto throws_at_once = []() -> task<> { throw std::logic_error("no coroutine"); };
    rt.block_on([&]() -> task<> {
        EXPECT_THROW((void)co_await finally([]() -> task<int> { co_return 1; }(), fails), std::runtime_error);
        EXPECT_THROW(co_await finally(yield(), throws_at_once), std::logic_error);
        bool caught = false;
        EXPECT_THROW(co_await with_scope([&](scope& s) -> task<> {
                         s.spawn([&]() -> task<> {
                             try {
                                 co_await finally(wait_and_log(begun, "work"), fails);
                             } catch (const std::runtime_error&) {
                                 caught = true;
                                 throw;
                             }
                         });
                         co_await begun.wait();
                         s.request_stop();
                     }),
                     std::runtime_error);
        EXPECT_TRUE(caught);
    });
}

TEST_F(Finally, ACleanupThatOverrunsIsStoppedCountedAndReportedAndChangesNothing) {
    gate begun;
    captured_reports captured;
    auto before = guardrails::guardrail_counts();
    std::atomic<int> overran{0};
    struct looks {
        std::atomic<int>& n;
        ~looks() { n += this_task::stop_reason() == stop_reason::cleanup_overrun ? 1 : 0; }
    };
    auto hangs = [&]() -> task<> {
        looks at_the_end{overran};
        co_await never();
    };
    rt.block_on([&]() -> task<> {
        EXPECT_EQ(co_await finally([]() -> task<int> { co_return 1; }(), hangs, 2ms), 1);
        EXPECT_THROW(co_await finally(
                         []() -> task<> {
                             throw std::out_of_range("work");
                             co_return;
                         }(),
                         hangs, 2ms),
                     std::out_of_range);
        co_await with_scope([&](scope& s) -> task<> {
            s.spawn([&]() -> task<> {
                co_await finally(wait_and_log(begun, "work"), hangs, 2ms);
                ADD_FAILURE() << "went on after a stop";
            });
            co_await begun.wait();
            s.request_stop();
        });
    });
    EXPECT_EQ(overran, 3);
    auto after = guardrails::guardrail_counts();
    EXPECT_EQ(after[guardrail::cleanup_overrun], before[guardrail::cleanup_overrun] + 3);
    EXPECT_EQ(after[guardrail::lost_error], before[guardrail::lost_error]);  // one event, one report
}

TEST_F(Finally, InsideATimeoutTheDeadlineStopsTheWorkAndNotTheCleanup) {
    gate begun;
    rt.block_on([&]() -> task<> {
        EXPECT_THROW(co_await timeout(50ms, finally(wait_and_log(begun, "work"), cleanup())), deadline_exceeded);
        EXPECT_FALSE(this_task::stop_requested());
    });
    EXPECT_EQ(log.text(), "work unwound, cleanup begins, cleanup ends");
}

TEST_F(Finally, NestedTheInnermostCleansUpFirst) {
    gate begun;
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            s.spawn([&]() -> task<> {
                co_await finally(finally(wait_and_log(begun, "work"), cleanup("inner")), cleanup("outer"));
                ADD_FAILURE() << "went on after a stop";
            });
            co_await begun.wait();
            s.request_stop();
        });
    });
    EXPECT_EQ(log.text(), "work unwound, inner begins, inner ends, outer begins, outer ends");
}

TEST_F(Finally, ACleanupInACleanupHasNoMoreThanTheOneAroundIt) {
    captured_reports captured;
    rt.block_on([&]() -> task<> {
        // Would wait for hours if each had its own grace only.
        co_await finally(yield(), [&]() -> task<> { co_await finally(yield(), []() -> task<> { co_await never(); }, 2h); }, 2ms);
        log.add("went on");
    });
    EXPECT_EQ(log.text(), "went on");
}

TEST_F(Finally, TheCleanupOfATaskThatIsStoppedThroughItsHandleRuns) {
    gate begun;
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            auto handle = s.spawn([&]() -> task<> { co_await finally(wait_and_log(begun, "work"), cleanup()); });
            co_await begun.wait();
            handle.request_stop();
            EXPECT_FALSE(co_await handle.join_optional());
        });
    });
    EXPECT_EQ(log.text(), "work unwound, cleanup begins, cleanup ends");
}

TEST_F(Finally, AShutdownLetsCleanupsRunWithinItsGrace) {
    gate begun;
    {
        runtime other{options()};
        other.spawn([&]() -> task<> { co_await finally(wait_and_log(begun, "work"), cleanup()); });
        wait_until([&] { return begun.opened(); });
        EXPECT_TRUE(other.shutdown(60s).clean());
    }
    EXPECT_EQ(log.text(), "work unwound, cleanup begins, cleanup ends");
}

TEST_F(Finally, ACleanupThatOverrunsItsOwnGraceInAShutdownIsReported) {
    captured_reports captured;
    gate begun;
    runtime other{options()};
    other.spawn([&]() -> task<> { co_await finally(wait_and_log(begun, "work"), []() -> task<> { co_await never(); }, 2ms); });
    wait_until([&] { return begun.opened(); });
    EXPECT_TRUE(other.shutdown(60s).clean());
    EXPECT_EQ(captured.sink->of(guardrail::cleanup_overrun).size(), 1U);
}

TEST_F(Finally, AShutdownEndsACleanupThatWouldOutliveItsGrace) {
    captured_reports captured;
    gate begun;
    runtime other{options()};
    other.spawn([&]() -> task<> { co_await finally(wait_and_log(begun, "work"), []() -> task<> { co_await never(); }, 2h); });
    wait_until([&] { return begun.opened(); });
    EXPECT_TRUE(other.shutdown(2s).clean());
    EXPECT_EQ(captured.sink->of(guardrail::cleanup_overrun).size(), 0U);
}

}  // namespace
}  // namespace belay
