// The guardrail "starve": who waits although workers run, and all that looks like it. What starves others here does so until it is reported.
#include <belay/observability/guardrails.hpp>
#include <belay/runtime/local_runtime.hpp>
#include <belay/runtime/scope.hpp>
#include <belay/runtime/simulation.hpp>
#include <belay/runtime/sleep.hpp>
#include <belay/runtime/yield.hpp>
#include <belay/tests/observability/guarded_runtime.hpp>

#include <gtest/gtest.h>

#include <time.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <string>
#include <string_view>
#include <thread>

namespace belay {
namespace {

using namespace std::chrono_literals;
using test::text_of;
using test::with_policy;

constexpr const char* watched = "all=log,stall=off,starve=log:40ms";

/// By the thread's own clock: on a busy machine it takes longer, and is as much work.
void compute(std::chrono::nanoseconds cpu_time) {
    auto now = [] {
        timespec at{};
        ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &at);
        return std::chrono::seconds{at.tv_sec} + std::chrono::nanoseconds{at.tv_nsec};
    };
    for (auto end = now() + cpu_time; now() < end;) {}
}

using stop_flag = std::atomic<bool>;

task<> compute_and_yield(const stop_flag* enough, std::chrono::microseconds at_once) {
    while (!*enough) {
        compute(at_once);
        co_await yield();
    }
}

/// Never has to wait, so it uses up its budget of 128 in each poll.
task<> spend_the_budget(const stop_flag* enough) {
    while (!*enough) {
        compute(100us);
        co_await checkpoint();
    }
}

task<> sleep_in_a_loop(const stop_flag* enough) {
    while (!*enough) co_await sleep_for(1ms);
}

/// The first report whose headline has these words.
std::string report_with(const test::captured_reports& captured, std::string_view words) {
    for (const auto& r : captured.sink->of(guardrail::starvation))
        if (r.what.find(words) != r.what.npos) return r.to_text();
    return {};
}

void wait_for(const test::captured_reports& captured, std::string_view words) {
    for (std::size_t seen = 0; report_with(captured, words).empty();) {
        while (captured.sink->written() == seen) std::this_thread::sleep_for(1ms);
        seen = captured.sink->written();
    }
}

bool has(const std::string& text, std::string_view wanted) { return text.find(wanted) != text.npos; }

// ---- it fires --------------------------------------------------------------------------------------------------

TEST(Starvation, TooManyReadyTasksOfOneWorker) {
    test::captured_reports captured;
    stop_flag enough{false};
    runtime rt{with_policy(watched, 1)};
    std::uint_least32_t line = std::source_location::current().line() + 2;
    rt.spawn(with_scope([&](scope& s) -> task<> {
        for (int i = 0; i < 20; ++i) s.spawn(compute_and_yield, &enough, 5ms);
        co_return;
    }));
    wait_for(captured, "in the queue of worker 0");
    EXPECT_GT(rt.metrics().ready_wait_ns, 0U);
    enough = true;
    auto reports = captured.sink->of(guardrail::starvation);
    EXPECT_EQ(test::missing_part(reports[0]), "");
    auto text = report_with(captured, "in the queue of worker 0");
    EXPECT_TRUE(has(text, "(limit 40 ms), and meanwhile others ran")) << text;
    EXPECT_TRUE(has(text, " ready tasks in the worker's queue now")) << text;
    EXPECT_TRUE(has(text, " polls by the worker")) << text;
    EXPECT_TRUE(has(text, test::place(line))) << text;
    EXPECT_FALSE(has(text, "BUDGET HOG")) << text;
    EXPECT_TRUE(has(reports[0].to_json(), R"("kind":"starvation")")) << reports[0].to_json();
}

TEST(Starvation, PinnedTasksWhoseWorkerIsBusy) {
    test::captured_reports captured;
    stop_flag enough{false};
    runtime rt{with_policy(watched)};
    for (int i = 0; i < 20; ++i) rt.spawn_on(1, compute_and_yield, &enough, 5ms);
    wait_for(captured, "pinned to worker 1");
    enough = true;
    auto text = report_with(captured, "pinned to worker 1");
    EXPECT_TRUE(has(text, "No other worker can help out")) << text;
}

// Takeovers move tasks between the workers' queues and the injection queue all the time: any of them may come first.
TEST(Starvation, TooManyReadyTasksOfAllWorkers) {
    test::captured_reports captured;
    stop_flag enough{false};
    runtime rt{with_policy(watched)};
    for (int i = 0; i < 100; ++i) rt.spawn(compute_and_yield, &enough, 4ms);
    wait_for(captured, "a ready task has waited in the ");
    enough = true;
    auto text = report_with(captured, "a ready task has waited in the ");
    EXPECT_NE(has(text, "polls by all workers"), has(text, "polls by the worker")) << text;
    EXPECT_NE(has(text, "polls by all workers"), has(text, "in the queue of worker ")) << text;
}

// Everybody waits here: timers, what is spawned from outside, and what is in the queues. As much again as was needed for the first report,
// and more, brings no other.
TEST(Starvation, OneCauseIsToldOnce) {
    test::captured_reports captured;
    stop_flag enough{false};
    auto counted_before = guardrails::guardrail_counts()[guardrail::starvation];
    runtime rt{with_policy(watched, 1)};
    for (int i = 0; i < 5; ++i) rt.spawn(sleep_in_a_loop, &enough);
    for (int i = 0; i < 20; ++i) rt.spawn(compute_and_yield, &enough, 5ms);
    wait_for(captured, "");
    auto polls = [&] { return rt.metrics().workers[0].polls; };
    for (auto end = polls() + 200; polls() < end;) {
        rt.spawn([]() -> task<> { co_return; });
        std::this_thread::sleep_for(5ms);
    }
    enough = true;
    EXPECT_EQ(captured.sink->of(guardrail::starvation).size(), 1U);
    EXPECT_EQ(guardrails::guardrail_counts()[guardrail::starvation] - counted_before, 1U);
}

TEST(Starvation, ABudgetHogIsNamedWhenTimersAreLate) {
    test::captured_reports captured;
    stop_flag enough{false};
    runtime rt{with_policy(watched, 1)};
    std::uint_least32_t line = std::source_location::current().line() + 3;
    rt.spawn(with_scope([&](scope& s) -> task<> {  // both at once: nothing waits in the injection queue
        s.spawn(sleep_in_a_loop, &enough);
        s.spawn(spend_the_budget, &enough);
        co_return;
    }));
    wait_for(captured, "a timer of worker 0 is late");
    enough = true;
    auto text = report_with(captured, "a timer of worker 0 is late");
    EXPECT_TRUE(has(text, "BUDGET HOG, task ")) << text;
    EXPECT_TRUE(has(text, "of which ended because the task had used up its budget")) << text;
    EXPECT_TRUE(has(text, test::place(line))) << text;
    EXPECT_TRUE(has(text, "spend_the_budget")) << text;
}

// Long polls are blocked-worker's, and what they keep waiting is no finding of its own. Each of these is one, or too short to keep anything
// waiting for long.
TEST(Starvation, AStallIsNotToldAgainAsStarvation) {
    test::captured_reports captured;
    runtime rt{with_policy("all=log,stall=log:20ms,starve=log:100ms", 1)};
    rt.block_on(with_scope([](scope& s) -> task<> {
        for (int i = 0; i < 5; ++i)
            s.spawn([]() -> task<> {
                for (int polls = 0; polls < 2; ++polls) {
                    compute(60ms);
                    co_await yield();
                }
            });
        co_return;
    }));
    EXPECT_EQ(captured.sink->of(guardrail::starvation).size(), 0U) << text_of(captured, guardrail::starvation);
}

TEST(Starvation, WhatOtherThreadsSpawnWaitsForABudgetHog) {
    test::captured_reports captured;
    stop_flag enough{false};
    std::atomic<int> ran{0};
    runtime rt{with_policy(watched, 1)};
    rt.spawn(spend_the_budget, &enough);
    // How long one waits depends on when the worker looks at that queue next.
    for (int spawned = 0; report_with(captured, "in the injection queue").empty(); std::this_thread::sleep_for(1ms)) {
        if (ran != spawned) continue;
        ++spawned;
        rt.spawn([&]() -> task<> {
            ++ran;
            co_return;
        });
    }
    enough = true;
    EXPECT_TRUE(has(report_with(captured, "in the injection queue"), "1 ready task in the injection queue now"));
}

// ---- it stays silent -------------------------------------------------------------------------------------------

TEST(Starvation, ABusyProgramWithShortPollsIsNot) {
    test::captured_reports captured;
    runtime rt{with_policy("all=log,stall=off")};
    rt.block_on(with_scope([](scope& s) -> task<> {
        for (int i = 0; i < 30; ++i)
            s.spawn([]() -> task<> {
                for (int polls = 0; polls < 500; ++polls) {
                    compute(50us);
                    if (polls % 50 == 0) co_await sleep_for(1ms);
                    co_await yield();
                }
            });
        co_return;
    }));
    EXPECT_EQ(captured.sink->of(guardrail::starvation).size(), 0U) << text_of(captured, guardrail::starvation);
}

TEST(Starvation, OnePollThatIsTooLongIsAStallAndNotStarvation) {
    test::captured_reports captured;
    runtime rt{with_policy(watched, 1)};
    rt.block_on(with_scope([](scope& s) -> task<> {
        for (int i = 0; i < 5; ++i)
            s.spawn([]() -> task<> {
                compute(150ms);
                co_await yield();
            });
        co_return;
    }));
    EXPECT_EQ(captured.sink->of(guardrail::starvation).size(), 0U) << text_of(captured, guardrail::starvation);
}

// A worker without a CPU looks the same: its clock stands still.
TEST(Starvation, TasksThatSleepInSystemCallsAreForAnotherGuardrail) {
    test::captured_reports captured;
    runtime rt{with_policy(watched, 1)};
    rt.block_on(with_scope([](scope& s) -> task<> {
        for (int i = 0; i < 20; ++i)
            s.spawn([]() -> task<> {
                for (int polls = 0; polls < 5; ++polls) {
                    std::this_thread::sleep_for(4ms);
                    co_await yield();
                }
            });
        co_return;
    }));
    EXPECT_EQ(captured.sink->of(guardrail::starvation).size(), 0U) << text_of(captured, guardrail::starvation);
}

TEST(Starvation, OffMeansThatNobodyLooks) {
    test::captured_reports captured;
    runtime rt{with_policy("all=log,stall=off,starve=off", 1)};
    rt.block_on(with_scope([](scope& s) -> task<> {
        for (int i = 0; i < 20; ++i)
            s.spawn([]() -> task<> {
                for (int polls = 0; polls < 4; ++polls) {
                    compute(5ms);
                    co_await yield();
                }
            });
        co_return;
    }));
    EXPECT_EQ(captured.sink->written(), 0U);
    EXPECT_EQ(rt.metrics().ready_wait_ns, 0U);
}

// The host's own work between two turns keeps tasks waiting as well; that is the host's business.
TEST(Starvation, ALocalRuntimeThatIsSeldomDrivenIsNot) {
    test::captured_reports captured;
    stop_flag enough{false};
    local_runtime rt{{.guardrails = "all=log,stall=log:10s,starve=log:40ms"}};
    for (int i = 0; i < 20; ++i) rt.spawn(compute_and_yield, &enough, 1us);
    for (int turns = 0; turns < 20; ++turns) {
        rt.poll({.max_polls = 4});
        compute(20ms);
    }
    enough = true;
    rt.run_for(1ms);
    EXPECT_EQ(captured.sink->of(guardrail::starvation).size(), 0U) << text_of(captured, guardrail::starvation);
}

TEST(Starvation, ASimulationsTimeIsNobodysWait) {
    test::captured_reports captured;
    simulation sim;
    sim.block_on(with_scope([](scope& s) -> task<> {
        for (int i = 0; i < 50; ++i)
            s.spawn([]() -> task<> {
                for (int hours = 0; hours < 5; ++hours) co_await sleep_for(1h);
            });
        co_return;
    }));
    EXPECT_EQ(captured.sink->of(guardrail::starvation).size(), 0U);
}

}  // namespace
}  // namespace belay
