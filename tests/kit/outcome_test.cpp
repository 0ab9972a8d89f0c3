// How a run ends, and what is told of it: a stop that nobody asked for, expectations that failed before an error, tests that are skipped.
#include <belay/runtime/join_handle.hpp>
#include <belay/runtime/scope.hpp>
#include <belay/runtime/sleep.hpp>
#include <belay/runtime/yield.hpp>
#include <belay/sync/event.hpp>
#include <belay/tests/kit/everywhere.hpp>
#include <belay/tests/kit/gtest.hpp>

#include <gtest/gtest-spi.h>

#include <stdexcept>
#include <string>

namespace belay::kit {
namespace {

using namespace std::chrono_literals;

/// The messages of failures and skips that f tells GoogleTest.
template <class F>
std::string told_by(F f) {
    ::testing::TestPartResultArray told;
    {
        using reporter = ::testing::ScopedFakeTestPartResultReporter;
        reporter kept{reporter::INTERCEPT_ALL_THREADS, &told};
        f();
    }
    std::string text;
    for (int i = 0; i < told.size(); ++i) {
        const auto& one = told.GetTestPartResult(i);
        text += std::string{one.skipped() ? "skipped: " : "failed: "} + one.message() + '\n';
    }
    return text;
}

// ---- stopped -----------------------------------------------------------------------------------------------------

/// Somebody stops the child, whose join() then ends the program before it has looked at anything.
task<> ends_as_stopped(simulation&) {
    co_await with_scope([](scope& s) -> task<> {
        auto child = s.spawn([]() -> task<int> {
            co_await sleep_for(1s);
            co_return 42;
        });
        child.request_stop();
        EXPECT_EQ(co_await child.join(), 43) << "is not reached";
    });
}

constexpr const char* nobody_asked = "ended as stopped";

TEST(Stopped, AProgramThatNobodyStoppedMayNotEndAsStopped) {
    auto explored = explore({.seeds = 3}, ends_as_stopped);
    ASSERT_TRUE(explored.failure);
    EXPECT_EQ(explored.failure->kind, failure_kind::error);
    EXPECT_NE(explored.failure->what.find(nobody_asked), std::string::npos) << explored.failure->what;

    auto thrown = fail_everywhere({}, [](simulation&) -> task<> {
        co_await sleep_for(1ms);
        throw task_stopped{};
    });
    ASSERT_TRUE(thrown.failure);
    EXPECT_EQ(thrown.failure->kind, failure_kind::error);
    EXPECT_NE(thrown.failure->what.find(nobody_asked), std::string::npos) << thrown.failure->what;
}

TEST(Stopped, AScopeThatStopsItselfIsSuchAProgram) {
    auto result = explore({.seeds = 3}, [](simulation&) -> task<> {
        co_await with_scope([](scope& s) -> task<int> {
            s.request_stop();
            co_await yield();
            co_return 1;
        });
    });
    ASSERT_TRUE(result.failure);
    EXPECT_NE(result.failure->what.find(nobody_asked), std::string::npos) << result.failure->what;
}

TEST(Stopped, TheTestsOfGoogleTestFailForIt) {
    auto simulated = told_by([] { run_simulated_test({.seeds = 3}, ends_as_stopped); });
    EXPECT_NE(simulated.find(nobody_asked), simulated.npos) << simulated;
    auto everywhere = told_by([] { run_everywhere_test({.seeds = 3}, ends_as_stopped); });
    EXPECT_NE(everywhere.find(nobody_asked), everywhere.npos) << everywhere;
}

TEST(Stopped, WhoeverStopsAProgramFromOutsideMayEndIt) {
    simulation* current = nullptr;
    simulation_options options;
    options.on_step = [&](std::size_t step) {
        if (step == 2) current->stop_program();
    };
    auto result = explore({.seeds = 3, .sim = options}, [&](simulation& sim) -> task<> {
        current = &sim;
        return []() -> task<> { co_await sleep_for(1s); }();
    });
    EXPECT_FALSE(result.failure) << result.failure->text();
    EXPECT_FALSE(stop_everywhere({}, [](simulation&) -> task<> { co_await sleep_for(1s); }).failure);
}

// ---- expectations ------------------------------------------------------------------------------------------------

TEST(Expectations, ThatFailedBeforeAnErrorAreToldWithIt) {
    auto thrown = told_by([] {
        run_simulated_test({.seeds = 3}, [](simulation&) -> task<> {
            EXPECT_EQ(3, 4) << "the cause";
            co_await yield();
            throw std::runtime_error("the consequence");
        });
    });
    EXPECT_NE(thrown.find("the consequence"), thrown.npos) << thrown;
    EXPECT_NE(thrown.find("the cause"), thrown.npos) << thrown;

    auto stuck = told_by([] {
        run_simulated_test({.seeds = 3}, [](simulation&) -> task<> {
            EXPECT_EQ(3, 4) << "the cause";
            event never;
            co_await never.wait();
        });
    });
    EXPECT_NE(stuck.find("deadlock"), stuck.npos) << stuck;
    EXPECT_NE(stuck.find("the cause"), stuck.npos) << stuck;
}

TEST(Expectations, AreToldBesideACheckOfOnesOwn) {
    auto both = told_by([] {
        run_simulated_test({.seeds = 3, .check = [] { return std::string{"of the check"}; }}, [](simulation&) -> task<> {
            EXPECT_EQ(3, 4) << "of the body";
            co_return;
        });
    });
    EXPECT_NE(both.find("of the body"), both.npos) << both;
    EXPECT_NE(both.find("of the check"), both.npos) << both;
}

// ---- skipped -----------------------------------------------------------------------------------------------------

void needs_what_is_not_there() { GTEST_SKIP() << "not here"; }

TEST(Skipped, ByAHelperOfTheBodyIsTheTest) {
    auto body = [](simulation&) -> task<> {
        needs_what_is_not_there();
        co_return;
    };
    auto simulated = told_by([&] { run_simulated_test({.seeds = 3}, body); });
    EXPECT_EQ(simulated.find("skipped: "), 0U) << simulated;
    EXPECT_NE(simulated.find("not here"), simulated.npos) << simulated;
    auto everywhere = told_by([&] { run_everywhere_test({.seeds = 3}, body); });
    EXPECT_EQ(everywhere.find("skipped: "), 0U) << everywhere;
}

TEST(Skipped, IsNoTestThatFails) {
    auto told = told_by([] {
        run_simulated_test({.seeds = 3}, [](simulation&) -> task<> {
            needs_what_is_not_there();
            throw std::runtime_error("fails all the same");
            co_return;
        });
    });
    EXPECT_EQ(told.find("failed: "), 0U) << told;
}

}  // namespace
}  // namespace belay::kit
