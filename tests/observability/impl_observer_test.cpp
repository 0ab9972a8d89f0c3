// The observer without a runtime: stuck threads that are no workers, and clocks that are read and not waited for.
#include <belay/observability/impl/allow_registry.hpp>
#include <belay/observability/impl/guardrail_observer.hpp>
#include <belay/tests/observability/capture_sink.hpp>
#include <belay/tests/observability/stuck_thread.hpp>

#include <gtest/gtest.h>

#include <limits>
#include <stdexcept>
#include <thread>

namespace belay {
namespace {

using namespace std::chrono_literals;

std::shared_ptr<detail::guardrail_observer> observe(std::string_view policy) {
    return std::dynamic_pointer_cast<detail::guardrail_observer>(make_observer("test", policy));
}

worker_stall stall_of(test::stuck_thread& thread, std::chrono::nanoseconds elapsed) {
    worker_stall stall;
    stall.runtime = "test";
    stall.worker = 3;
    stall.tid = thread.tid();
    stall.pthread = thread.pthread();
    stall.elapsed = elapsed;
    stall.task.id = 17;
    stall.task.spawned = std::source_location::current();
    stall.task.stack[0] = std::source_location::current();
    stall.task.depth = 1;
    stall.queued_behind = 2;
    return stall;
}

std::string first_text(const test::captured_reports& captured, guardrail kind) {
    auto reports = captured.sink->of(kind);
    return reports.empty() ? "no report" : reports.front().to_text();
}

TEST(Observer, AThreadThatComputesIsReportedAsAHogWithItsStack) {
    test::captured_reports captured;
    auto observer = observe("all=log,stall=log:5ms");
    test::hog_thread hog;
    // A host that gives the thread no CPU makes the verdict "starved"; then it is asked again, as the watchdog does.
    for (int i = 1; captured.sink->written() == 0; ++i) observer->worker_stalled(stall_of(hog, 10ms * i));
    auto reports = captured.sink->of(guardrail::blocked_worker);
    ASSERT_EQ(reports.size(), 1U);
    EXPECT_EQ(test::missing_part(reports[0]), "");
    auto text = reports[0].to_text();
    EXPECT_NE(text.find("COMPUTING WITHOUT A PAUSE"), std::string::npos) << text;
    EXPECT_NE(text.find("behind it"), std::string::npos) << text;
    EXPECT_EQ(observer->counts().stalls_hog, 1U);
    EXPECT_EQ(observer->counts()[guardrail::blocked_worker], 1U);
}

TEST(Observer, AThreadThatSleepsIsReportedWithItsSystemCall) {
    test::captured_reports captured;
    auto observer = observe("all=log,stall=log:5ms");
    test::blocked_thread blocked;
    observer->worker_suspected(3, blocked.tid(), blocked.pthread());
    observer->worker_stalled(stall_of(blocked, 10ms));
    auto text = first_text(captured, guardrail::blocked_worker);
    EXPECT_NE(text.find("ASLEEP IN A SYSTEM CALL"), std::string::npos) << text;
    EXPECT_NE(text.find("read(fd=" + std::to_string(blocked.fd()) + " -> pipe:["), std::string::npos) << text;
    EXPECT_TRUE(test::intercepted_calls || text.find("read_in_a_named_function") != std::string::npos) << text;
    EXPECT_NE(text.find("read without a signal"), std::string::npos) << text;
}

TEST(Observer, OnePollIsReportedOnce) {
    test::captured_reports captured;
    auto observer = observe("all=log,stall=log:100s");  // so long that the computed starts cannot differ by half of it
    test::blocked_thread blocked;
    for (auto elapsed : {100s, 101s, 102s}) observer->worker_stalled(stall_of(blocked, elapsed));
    EXPECT_EQ(captured.sink->written(), 1U);
    EXPECT_EQ(observer->counts()[guardrail::blocked_worker], 1U);
}

TEST(Observer, TheStallThresholdIsZeroWhenStallsAreOff) {
    EXPECT_EQ(observe("stall=off")->stall_threshold(), 0ns);
    EXPECT_EQ(observe("stall=log:70ms")->stall_threshold(), 70ms);
}

worker_stall stall_of_this_thread(std::chrono::nanoseconds elapsed) {
    worker_stall stall;
    stall.tid = static_cast<int>(::syscall(SYS_gettid));
    stall.pthread = static_cast<std::uint64_t>(::pthread_self());
    stall.elapsed = elapsed;
    return stall;
}

TEST(Observer, TheStarvationLimitIsZeroWhenItIsOff) {
    EXPECT_EQ(observe("starve=off")->starvation_limit(), 0ns);
    EXPECT_EQ(observe("starve=log:70ms")->starvation_limit(), 70ms);
}

starvation starved_by_this(starved_queue queue, unsigned seen, unsigned spent, std::uint64_t yields = 9) {
    starvation found;
    found.queue = queue;
    found.waited = 300ms;
    found.task.id = 17;
    found.seen = seen;
    found.spent = spent;
    found.looks = 20;
    found.polls = 10;
    found.budget_yields = yields;
    return found;
}

TEST(Observer, ABudgetHogIsNamedOnlyIfThatTaskWasSeenToBeOne) {
    auto says_hog = [](unsigned seen, unsigned spent, std::uint64_t yields = 9) {
        test::captured_reports captured;
        observe("all=log")->starved(starved_by_this(starved_queue::timers, seen, spent, yields));
        return first_text(captured, guardrail::starvation).find("BUDGET HOG, task 17") != std::string::npos;
    };
    EXPECT_TRUE(says_hog(20, 19));
    EXPECT_TRUE(says_hog(10, 5));
    EXPECT_FALSE(says_hog(20, 9)) << "mostly somebody else used the budget up";
    EXPECT_FALSE(says_hog(9, 9)) << "mostly somebody else ran";
    EXPECT_FALSE(says_hog(20, 20, 4)) << "long ago";
    EXPECT_FALSE(says_hog(20, 0));
    EXPECT_FALSE(says_hog(0, 0));
}

TEST(Observer, EachStarvedQueueIsCalledByItsName) {
    test::captured_reports captured;
    auto observer = observe("all=log,starve=log:250ms");
    for (auto queue :
         {starved_queue::own, starved_queue::pinned, starved_queue::injected, starved_queue::all, starved_queue::timers})
        observer->starved(starved_by_this(queue, 20, 0));
    auto reports = captured.sink->of(guardrail::starvation);
    ASSERT_EQ(reports.size(), 5U);
    EXPECT_EQ(reports[0].what,
              "a ready task has waited in the queue of worker 0 for 300 ms (limit 250 ms), and meanwhile others ran");
    for (std::size_t i = 0; i < reports.size(); ++i)
        for (std::size_t j = 0; j < i; ++j) EXPECT_NE(reports[i].what, reports[j].what);
}

TEST(Observer, AnAllowScopeKeepsAStallSilent) {
    test::captured_reports captured;
    auto observer = observe("all=log,stall=log:5ms");
    guardrails::allow outer{"outer"};
    {
        guardrails::allow inner{"inner"};
        observer->worker_stalled(stall_of_this_thread(10ms));
    }
    observer->worker_stalled(stall_of_this_thread(10ms));
    EXPECT_EQ(captured.sink->written(), 0U);
    EXPECT_EQ(observer->counts()[guardrail::blocked_worker], 0U);
}

// The watchdog may look when the scope has ended and its poll has not: what the scope excused stays excused.
TEST(Observer, OnlyTheTimeAfterAnAllowScopeCounts) {
    test::captured_reports captured;
    { guardrails::allow over{"a moment ago"}; }
    auto now = std::chrono::steady_clock::now().time_since_epoch() / 1ns;
    auto until = detail::thread_allowed_until(static_cast<int>(::syscall(SYS_gettid)));
    EXPECT_GT(until, 0);
    EXPECT_LE(until, now);
    observe("all=log,stall=log:100s")->worker_stalled(stall_of_this_thread(200s));
    EXPECT_EQ(captured.sink->written(), 0U);
}

TEST(Observer, AnAllowScopeBelongsToItsThread) {
    guardrails::allow here{"this thread"};
    EXPECT_EQ(detail::thread_allowed_until(static_cast<int>(::syscall(SYS_gettid))), std::numeric_limits<std::int64_t>::max());
    std::thread{[] { EXPECT_EQ(detail::thread_allowed_until(static_cast<int>(::syscall(SYS_gettid))), 0); }}.join();
}

TEST(Observer, AWaitForALockThatTheHostMadeLongIsNotReported) {
    test::captured_reports captured;
    auto observer = observe("all=log,block=log:1ms");
    task_snapshot task;
    for (const char* function : {"pthread_mutex_lock", "pthread_rwlock_wrlock", "mtx_lock"}) {
        observer->blocking_called(task, {function, -1, 5s, true, {}, {.ns = 4'999'900'000}});
        observer->blocking_called(task, {function, -1, 15ms, true, {}, {.or_more = true}});
        observer->blocking_called(task, {function, -1, 5s, true, {}, {.ns = 4'985'000'000, .or_more = true}});
    }
    EXPECT_EQ(captured.sink->written(), 0U);
    observer->blocking_called(task, {"read", -1, 5s, true, {}, {.ns = 4'999'900'000}});
    EXPECT_EQ(captured.sink->written(), 1U) << "no lock";
}

TEST(Observer, EveryEventBecomesAReportWithFiveParts) {
    test::captured_reports captured;
    auto observer = observe("all=log");
    task_snapshot task;
    held_lock lock{&task, std::source_location::current(), {}};
    observer->guard_across_suspension(task, {&lock, 1});
    observer->tasks_leaked("test", "shutdown", {&task, 1}, 1);
    observer->error_lost("connections", std::source_location::current(), std::make_exception_ptr(std::runtime_error("reset")));
    observer->never_awaited(std::source_location::current());
    observer->captures_borrowed(std::source_location::current(), std::source_location::current());
    observer->blocking_called(task, {"read", -1, 5s, true, {}});
    observer->stop_ignored({"test", "connections", stop_reason::requested, 6s, {&task, 1}, 1});
    observer->cleanup_overran(task, 1s, 1s);
    stuck_task stuck;
    observer->deadlocked({"test", {&stuck, 1}, 1, 0});
    observer->fanned_out("imports", 10'000, std::source_location::current());
    observer->pool_saturated({"disks", 1, 1, 2s, task});
    observer->order_inverted({task, {{1, {}, lock, {&stuck, std::source_location::current(), {}}}}});
    observer->starved({.runtime = "test", .waited = 1s, .waiting = 3, .polls = 10});
    ASSERT_EQ(captured.sink->written(), guardrail_count - 1);
    for (std::size_t i = 1; i < guardrail_count; ++i) {
        auto reports = captured.sink->of(static_cast<guardrail>(i));
        ASSERT_EQ(reports.size(), 1U) << to_string(static_cast<guardrail>(i));
        EXPECT_EQ(test::missing_part(reports[0]), "") << to_string(static_cast<guardrail>(i));
        EXPECT_EQ(reports[0].runtime, "test");
    }
}

TEST(Observer, ATaskThatCouldNotBeReadHasNoNumber) {
    test::captured_reports captured;
    auto observer = observe("all=log");
    task_snapshot gone;
    observer->stop_ignored({"test", "connections", stop_reason::requested, 6s, {&gone, 1}, 1});
    ASSERT_EQ(captured.sink->written(), 1U);
    EXPECT_EQ(captured.sink->of(guardrail::stop_ignored)[0].to_text().find("task 0"), std::string::npos);
}

TEST(Observer, WhatIsOffIsCountedAndNotWritten) {
    test::captured_reports captured;
    auto observer = observe("all=off");
    auto before = guardrails::guardrail_counts();
    observer->never_awaited(std::source_location::current());
    EXPECT_EQ(captured.sink->written(), 0U);
    EXPECT_EQ(observer->counts()[guardrail::never_awaited], 1U);
    EXPECT_EQ(guardrails::guardrail_counts()[guardrail::never_awaited], before[guardrail::never_awaited] + 1);
}

TEST(Observer, RepetitionsAreCountedAndNotWritten) {
    test::captured_reports captured;
    auto observer = observe("all=log");
    auto where = std::source_location::current();
    for (int i = 0; i < 99; ++i) observer->never_awaited(where);
    auto reports = captured.sink->of(guardrail::never_awaited);
    ASSERT_EQ(reports.size(), 2U);
    EXPECT_EQ(reports[0].occurrence, 1U);
    EXPECT_EQ(reports[1].occurrence, 10U);
    EXPECT_EQ(reports[1].suppressed, 8U);
    EXPECT_EQ(observer->counts()[guardrail::never_awaited], 99U);
    EXPECT_EQ(observer->counts().suppressed, 97U);
}

TEST(Observer, ACallbackGetsWhatTheSinkThenDoesNotGet) {
    test::captured_reports captured;
    auto callback = std::make_shared<test::capture_sink>();
    auto before = guardrails::set_callback(callback);
    auto observer = observe("all=log,await=callback");
    observer->never_awaited(std::source_location::current());
    EXPECT_EQ(callback->written(), 1U);
    EXPECT_EQ(captured.sink->written(), 0U);
    guardrails::set_callback(before);
    observer->never_awaited(std::source_location::current());
    EXPECT_EQ(captured.sink->written(), 1U) << "without a callback the sink gets it";
}

TEST(Observer, ATaskDestroyedByAnExceptionIsNotBlamed) {
    test::captured_reports captured;
    auto observer = observe("all=log");
    struct destroyed_by_exception {
        detail::guardrail_observer& of;
        ~destroyed_by_exception() { of.never_awaited(std::source_location::current()); }
    };
    try {
        destroyed_by_exception task{*observer};
        throw std::runtime_error("before it could be awaited");
    } catch (const std::runtime_error&) {}
    EXPECT_EQ(captured.sink->written(), 0U);
}

TEST(Observer, TheProcessHasOneToo) {
    test::captured_reports captured;
    guardrails::set_process_policy("all=log");
    process_observer().never_awaited(std::source_location::current());
    EXPECT_EQ(captured.sink->written(), 1U);
    guardrails::set_process_policy("await=off");
    process_observer().never_awaited(std::source_location::current());
    EXPECT_EQ(captured.sink->written(), 1U);
    EXPECT_THROW(guardrails::set_process_policy("await=loud"), std::invalid_argument);
    guardrails::set_process_policy("");
}

using ObserverDeathTest = ::testing::Test;

TEST_F(ObserverDeathTest, APanicWritesItsReportAndAborts) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_DEATH(observe("await=panic")->never_awaited(std::source_location::current()),
                 "belay: PANIC \\[never-awaited\\] a task was destroyed");
}

}  // namespace
}  // namespace belay
