#include <belay/runtime/metrics.hpp>
#include <belay/runtime/scope.hpp>
#include <belay/runtime/sleep.hpp>
#include <belay/runtime/this_task.hpp>
#include <belay/runtime/timeout.hpp>
#include <belay/tests/runtime/support.hpp>

namespace belay {
namespace {

using namespace test;

class Metrics : public Suite {
protected:
    runtime rt{options()};
};

TEST_F(Metrics, AScopeThatIsNotStoppedHasNoStopLatency) {
    rt.block_on([]() -> task<> {
        co_await with_scope([](scope& s) -> task<> {
            auto handle = s.spawn(never);
            handle.request_stop();  // a task's, not the scope's
            co_return;
        });
        co_await timeout(1h, yield());
    });
    EXPECT_TRUE(rt.metrics().stop_latency.empty());
}

/// The row of a scope's name.
stop_latency_metrics latency(const runtime& rt, std::string_view scope) {
    for (const auto& row : rt.metrics().stop_latency)
        if (row.scope == scope) return row;
    return {};
}

TEST_F(Metrics, StopLatencyIsTheTimeFromTheRequestUntilTheLastChildHasEnded) {
    rt.block_on([]() -> task<> {
        std::atomic<bool> requested{false};
        co_await with_scope({.name = "slow"}, [&](scope& s) -> task<> {
            s.spawn([&]() -> task<> {
                while (!requested) std::this_thread::yield();
                auto until = std::chrono::steady_clock::now() + 3ms;
                while (std::chrono::steady_clock::now() < until) {}  // does not stop at once
                co_return;
            });
            s.request_stop();
            requested = true;
            co_return;
        });
    });
    auto once = latency(rt, "slow");
    EXPECT_EQ(once.count, 1U);
    EXPECT_GE(once.sum_ns, 3'000'000U);
    EXPECT_EQ(once.max_ns, once.sum_ns);
    rt.block_on([]() -> task<> {
        // Deadlines count, and so does each of nested scopes.
        for (int i = 0; i < 2; ++i)
            EXPECT_FALSE(co_await try_timeout(1ms, with_scope({.name = "inner"}, [](scope&) { return never(); })));
    });
    EXPECT_EQ(latency(rt, "timeout").count, 2U);
    EXPECT_EQ(latency(rt, "inner").count, 2U);
    EXPECT_GE(latency(rt, "timeout").max_ns, latency(rt, "inner").max_ns);
    EXPECT_EQ(latency(rt, "slow").count, 1U);
    EXPECT_EQ(rt.metrics().stop_latency.size(), 3U);
}

TEST_F(Metrics, StopLatencyHasABoundedNumberOfNames) {
    std::vector<std::string> names;
    for (int i = 0; i < 100; ++i) names.push_back("scope " + std::to_string(i) + std::string(60, 'x'));
    rt.block_on([&]() -> task<> {
        for (const auto& name : names) {
            co_await with_scope({.name = name}, [](scope& s) -> task<> {
                s.spawn(never);
                s.request_stop();
                co_return;
            });
        }
    });
    auto rows = rt.metrics().stop_latency;
    ASSERT_EQ(rows.size(), 32U);
    EXPECT_EQ(rows[0].scope, names[0].substr(0, 47));
    EXPECT_EQ(rows[31].scope, "(others)");
    EXPECT_EQ(rows[31].count, 69U);
}

}  // namespace
}  // namespace belay
