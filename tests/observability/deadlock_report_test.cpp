// The guardrail "deadlock" from end to end: the watchdog looks by itself and says what it found. What it finds, and what it leaves
// alone, is in tests/sync/deadlock_search_test.cpp.
#include <belay/observability/guardrails.hpp>
#include <belay/runtime/local_runtime.hpp>
#include <belay/runtime/scope.hpp>
#include <belay/runtime/this_task.hpp>
#include <belay/runtime/yield.hpp>
#include <belay/sync/channel.hpp>
#include <belay/sync/mutex.hpp>
#include <belay/tests/observability/guarded_runtime.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <utility>

namespace belay {
namespace {

using test::text_of;
using test::with_policy;

constexpr const char* looks = "all=log,stall=off,order=off,deadlock=log:1ms";

task<> drain(receiver<int> rx, sender<int> kept) {
    this_task::set_name("drain");
    while (co_await rx.recv()) {}
    kept.close();
}

task<> lock_both(mutex* first, mutex* second, std::atomic<int>* locked) {
    auto outer = co_await first->lock();
    ++*locked;
    while (*locked < 2) co_await yield();
    auto inner = co_await second->lock();
}

TEST(DeadlockReport, NamesTheTaskItsPlaceAndWhoItWaitsFor) {
    test::captured_reports captured;
    runtime rt{with_policy(looks)};
    auto [tx, rx] = channel<int>(1);
    auto spawned = std::source_location::current().line() + 1;
    rt.spawn(drain, std::move(rx), std::move(tx));
    test::wait_for_reports(*captured.sink, 1);
    auto reports = captured.sink->of(guardrail::deadlock);
    ASSERT_EQ(reports.size(), 1U);
    EXPECT_EQ(test::missing_part(reports[0]), "");
    EXPECT_EQ(reports[0].runtime, "guarded");
    EXPECT_EQ(reports[0].what, "1 task waits for what nobody else can do: it can never go on");
    EXPECT_EQ(reports[0].task_name, "drain");
    auto text = reports[0].to_text();
    EXPECT_NE(text.find("WARN [deadlock]"), std::string::npos) << text;
    EXPECT_NE(text.find("channel.recv, which only it itself could end"), std::string::npos) << text;
    EXPECT_NE(text.find("drain("), std::string::npos) << text;
    EXPECT_NE(text.find(test::place(spawned)), std::string::npos) << text;
}

TEST(DeadlockReport, NamesBothTasksOfACycle) {
    test::captured_reports captured;
    mutex a;
    mutex b;
    std::atomic<int> locked{0};
    runtime rt{with_policy(looks)};
    auto first = rt.spawn_at(std::source_location::current(), lock_both, &a, &b, &locked);
    auto second = rt.spawn_at(std::source_location::current(), lock_both, &b, &a, &locked);
    test::wait_for_reports(*captured.sink, 1);
    auto text = text_of(captured, guardrail::deadlock);
    EXPECT_NE(text.find("2 tasks wait for what nobody else can do"), std::string::npos) << text;
    for (const auto* other : {&first, &second})
        EXPECT_NE(text.find("mutex.lock, which only task " + std::to_string(other->id()) + " could end"), std::string::npos)
            << text;
}

TEST(DeadlockReport, IsWrittenOnceAndAgainWhenAnotherTaskIsStuck) {
    test::captured_reports captured;
    runtime rt{with_policy(looks)};
    for (std::size_t n = 1; n <= 3; ++n) {
        auto [tx, rx] = channel<int>(1);
        rt.spawn(drain, std::move(rx), std::move(tx));
        test::wait_for_reports(*captured.sink, n);
        // The runtime goes idle, and is looked at, again and again.
        for (int i = 0; i < 10; ++i) rt.block_on([]() -> task<> { co_await yield(); });
    }
    rt.shutdown(std::chrono::minutes{1});
    auto reports = captured.sink->of(guardrail::deadlock);
    ASSERT_EQ(reports.size(), 3U);
    EXPECT_NE(reports[2].what.find("3 tasks wait"), std::string::npos) << reports[2].what;
}

TEST(DeadlockReport, ComesWhileOtherTasksRun) {
    test::captured_reports captured;
    std::atomic<bool> reported{false};
    runtime rt{with_policy(looks)};
    auto busy = rt.spawn([&reported]() -> task<> {
        while (!reported) co_await yield();
    });
    auto [tx, rx] = channel<int>(1);
    rt.spawn(drain, std::move(rx), std::move(tx));
    test::wait_for_reports(*captured.sink, 1);
    EXPECT_FALSE(busy.ended());
    reported = true;
    rt.shutdown(std::chrono::minutes{1});
    EXPECT_EQ(captured.sink->of(guardrail::deadlock).size(), 1U);
}

TEST(DeadlockReport, ComesForALocalRuntimeWhoseHostDoesSomethingElse) {
    test::captured_reports captured;
    local_runtime_options options;
    options.guardrails = "all=log,stall=log:10s,deadlock=log:1ms";
    local_runtime rt{options};
    auto [tx, rx] = channel<int>(1);
    rt.spawn(drain, std::move(rx), std::move(tx));
    rt.poll();
    test::wait_for_reports(*captured.sink, 1);
    EXPECT_NE(text_of(captured, guardrail::deadlock).find("drain("), std::string::npos);
}

TEST(DeadlockReport, ATaskThatIsStoppedIsStuckNoMore) {
    test::captured_reports captured;
    runtime rt{with_policy(looks)};
    auto [tx, rx] = channel<int>(1);
    auto stuck = rt.spawn(drain, std::move(rx), std::move(tx));
    test::wait_for_reports(*captured.sink, 1);
    stuck.request_stop();
    rt.block_on([&stuck]() -> task<> { co_await stuck.join_optional(); });
    EXPECT_TRUE(stuck.ended());
}

}  // namespace
}  // namespace belay
