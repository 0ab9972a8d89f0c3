// belay::guard in LD_PRELOAD, which the build's description of this test sets: the program is not linked with it.
#include <belay/observability/guardrails.hpp>
#include <belay/runtime/yield.hpp>
#include <belay/tests/observability/guarded_runtime.hpp>

#include <gtest/gtest.h>
#include <unistd.h>

#include <mutex>

namespace belay {
namespace {

TEST(GuardPreload, LocksAndCallsAreSeen) {
    test::captured_reports captured;
    {
        runtime rt{test::with_policy("all=log,stall=off,block=log:1ms", 1)};
        ASSERT_TRUE(guardrails::guard_attached());
        rt.block_on([]() -> task<> {
            std::mutex m;
            std::unique_lock lock{m};
            ::usleep(2000);
            co_await yield();
        });
    }
    EXPECT_EQ(captured.sink->of(guardrail::blocking_call).size(), 1U);
    EXPECT_EQ(captured.sink->of(guardrail::guard_across_suspension).size(), 1U);
}

}  // namespace
}  // namespace belay
