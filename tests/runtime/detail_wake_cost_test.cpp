#include <belay/runtime/detail/wake_cost.hpp>

#include <gtest/gtest.h>
#include <sys/prctl.h>

#include <thread>

namespace belay::detail {
namespace {

TEST(CalibratedSpin, IsMeasuredOnceAndBounded) {
    auto first = calibrated_spin_ns();
    EXPECT_GE(first, shortest_spin_ns);
    EXPECT_LE(first, longest_spin_ns);
    std::int64_t elsewhere = 0;
    std::thread{[&] { elsewhere = calibrated_spin_ns(); }}.join();
    EXPECT_EQ(elsewhere, first);
}

TEST(CalibratedSpin, LeavesTheTimerSlackOfTheThreadAlone) {
    EXPECT_EXIT(
        {
            ::prctl(PR_SET_TIMERSLACK, 12'345UL);
            (void)calibrated_spin_ns();
            std::_Exit(::prctl(PR_GET_TIMERSLACK) == 12'345 ? 0 : 1);
        },
        testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace belay::detail
