// Guardrails of workers in a running runtime: what makes them fire, and what they must stay silent on. No test waits
// for time to pass: a stuck task is let go by the report that it causes.
#include <belay/observability/guardrails.hpp>

#include <belay/runtime/runtime.hpp>
#include <belay/runtime/yield.hpp>
#include <belay/tests/observability/capture_sink.hpp>
#include <belay/tests/observability/guarded_runtime.hpp>
#include <belay/tests/observability/stuck_thread.hpp>

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <thread>

namespace belay {
namespace {

using namespace std::chrono_literals;
using test::compute_until_reported;
using test::place;
using test::text_of;
using test::wait_for_reports;
using test::with_policy;

// On a host that does not run the worker for 20 ms the signal is not waited for; everything else of the report is there.
bool names_function(const std::string& text, std::string_view function) {
    return text.find(function) != std::string::npos || text.find("the worker did not get a CPU in time") != std::string::npos;
}

// ---- blocked worker --------------------------------------------------------------------------------------------

task<> hog(const test::capture_sink* sink) {
    compute_until_reported(*sink);
    co_return;
}

TEST(BlockedWorker, ATaskThatComputesIsNamedWithItsStacks) {
    test::captured_reports captured;
    runtime rt{with_policy("all=log,stall=log:20ms")};
    auto spawned = std::source_location::current().line() + 1;
    rt.block_on([&]() -> task<> { co_await hog(captured.sink.get()); });
    auto reports = captured.sink->of(guardrail::blocked_worker);
    ASSERT_EQ(reports.size(), 1U);
    EXPECT_EQ(test::missing_part(reports[0]), "");
    auto text = text_of(captured, guardrail::blocked_worker);
    EXPECT_NE(text.find("COMPUTING WITHOUT A PAUSE"), std::string::npos) << text;
    EXPECT_TRUE(names_function(text, "compute_until_reported")) << text;
    EXPECT_NE(text.find(place(spawned)), std::string::npos) << text;
    EXPECT_EQ(reports[0].runtime, "guarded");
}

task<> waits_its_turn() { co_return; }

TEST(BlockedWorker, WhatWaitsBehindItIsNamed) {
    test::captured_reports captured;
    runtime rt{with_policy("all=log,stall=log:20ms", 1)};
    std::uint_least32_t spawned = 0;
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            spawned = std::source_location::current().line() + 1;
            for (int i = 0; i < 5; ++i) s.spawn(waits_its_turn);
            co_await hog(captured.sink.get());
        });
    });
    auto reports = captured.sink->of(guardrail::blocked_worker);
    ASSERT_EQ(reports.size(), 1U);
    std::string behind;
    for (const auto& fact : reports[0].facts)
        if (fact.name == "behind it") behind = fact.text;
    EXPECT_EQ(behind.find("5 ready tasks: task "), 0U) << behind;
    EXPECT_NE(behind.find(place(spawned) + " in "), std::string::npos) << behind;
    EXPECT_NE(behind.find("; and 1 more"), std::string::npos) << behind;
}

task<> read_blocking(int fd) {
    test::read_in_a_named_function(fd);
    co_return;
}

TEST(BlockedWorker, ATaskInASystemCallIsNamedWithTheCall) {
    test::captured_reports captured;
    test::pipe_pair pipe;
    runtime rt{with_policy("all=log,stall=log:20ms")};
    rt.spawn(read_blocking, pipe.fds[0]);
    wait_for_reports(*captured.sink, 1);
    (void)!::write(pipe.fds[1], "x", 1);
    auto text = text_of(captured, guardrail::blocked_worker);
    EXPECT_NE(text.find("ASLEEP IN A SYSTEM CALL"), std::string::npos) << text;
    EXPECT_NE(text.find("read(fd=" + std::to_string(pipe.fds[0]) + " -> pipe:["), std::string::npos) << text;
    EXPECT_TRUE(test::intercepted_calls || text.find("read_in_a_named_function") != std::string::npos) << text;
    EXPECT_EQ(rt.shutdown(60s).abandoned, 0U);
}

TEST(BlockedWorker, TasksThatYieldAreSilent) {
    test::captured_reports captured;
    runtime rt{with_policy("all=log,stall=log:20ms")};
    rt.block_on([]() -> task<> {
        for (int i = 0; i < 50'000; ++i) co_await yield();
    });
    EXPECT_EQ(text_of(captured, guardrail::blocked_worker), "no report");
}

TEST(BlockedWorker, AnAllowScopeIsSilentBesideOneThatIsReported) {
    test::captured_reports captured;
    runtime rt{with_policy("all=log,stall=log:20ms", 2)};
    std::atomic<bool> started{false};
    auto allowed = [&]() -> task<> {
        guardrails::allow why{"this test"};
        started = true;
        compute_until_reported(*captured.sink);
        co_return;
    };
    rt.spawn(allowed);
    while (!started) std::this_thread::yield();
    auto spawned = std::source_location::current().line() + 1;
    rt.spawn(hog, captured.sink.get());  // stuck for a shorter time, and the only one that is reported
    wait_for_reports(*captured.sink, 1);
    EXPECT_EQ(rt.shutdown(60s).abandoned, 0U);
    auto reports = captured.sink->of(guardrail::blocked_worker);
    ASSERT_EQ(reports.size(), 1U);
    EXPECT_NE(reports[0].spawned.find(place(spawned)), std::string::npos) << reports[0].to_text();
}

// ---- the policy ------------------------------------------------------------------------------------------------

TEST(GuardrailOptions, AWrongPolicyIsRefusedByTheRuntime) {
    EXPECT_THROW(runtime{with_policy("stall=sometimes")}, std::invalid_argument);
}

using GuardrailDeathTest = ::testing::Test;

TEST_F(GuardrailDeathTest, APanicEndsTheProcessWithTheReport) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_DEATH(
        {
            runtime rt{with_policy("all=log,stall=panic:20ms")};
            rt.block_on([]() -> task<> {
                for (volatile bool forever = true; forever;) {}
                co_return;
            });
        },
        "belay: PANIC \\[blocked-worker\\]");
}

}  // namespace
}  // namespace belay
