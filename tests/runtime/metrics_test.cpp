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
    EXPECT_EQ(rt.metrics().stop_latency.count, 0U);
}

TEST_F(Metrics, StopLatencyIsTheTimeFromTheRequestUntilTheLastChildHasEnded) {
    rt.block_on([]() -> task<> {
        co_await with_scope([](scope& s) -> task<> {
            s.spawn([]() -> task<> {
                while (!this_task::stop_requested()) std::this_thread::yield();
                auto until = std::chrono::steady_clock::now() + 3ms;
                while (std::chrono::steady_clock::now() < until) {}  // does not stop at once
                co_return;
            });
            s.request_stop();
            co_return;
        });
    });
    auto once = rt.metrics().stop_latency;
    EXPECT_EQ(once.count, 1U);
    EXPECT_GE(once.sum_ns, 3'000'000U);
    EXPECT_EQ(once.max_ns, once.sum_ns);
    rt.block_on([]() -> task<> {
        // Deadlines count, and so does each of nested scopes.
        EXPECT_FALSE(co_await try_timeout(1ms, with_scope([](scope&) { return never(); })));
    });
    auto twice = rt.metrics().stop_latency;
    EXPECT_EQ(twice.count, 3U);
    EXPECT_GT(twice.sum_ns, once.sum_ns);
    EXPECT_GE(twice.max_ns, once.max_ns);
}

}  // namespace
}  // namespace belay
