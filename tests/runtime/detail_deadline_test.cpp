#include <belay/runtime/detail/deadline.hpp>

#include <gtest/gtest.h>

namespace belay::detail {
namespace {

using namespace std::chrono_literals;
using time_point = std::chrono::steady_clock::time_point;

TEST(Deadline, IsNoneUnlessGiven) {
    constexpr deadline none;
    EXPECT_FALSE(none.set());
    EXPECT_EQ(none.resolve(5), no_deadline);
}

TEST(Deadline, ADurationCountsFromNow) {
    deadline d = 3us;
    EXPECT_TRUE(d.set());
    EXPECT_EQ(d.resolve(1000), 4000);
    EXPECT_EQ(deadline{-1ms}.resolve(0), -1'000'000);
    EXPECT_EQ(deadline{0s}.resolve(17), 17);
}

TEST(Deadline, ATimePointIsItself) { EXPECT_EQ(deadline{time_point{5ns}}.resolve(1000), 5); }

TEST(Deadline, RoundsUpSoThatNothingEndsEarly) {
    using third = std::chrono::duration<std::int64_t, std::ratio<1, 3'000'000'000>>;
    EXPECT_EQ(deadline{third{1}}.resolve(0), 1);
    using seconds = std::chrono::duration<double>;
    EXPECT_EQ(deadline{seconds{1.5e-9}}.resolve(0), 2);
}

TEST(Deadline, WhatCannotBeRepresentedIsNever) {
    EXPECT_EQ(deadline{std::chrono::hours::max()}.resolve(1), no_deadline);
    EXPECT_EQ(deadline{std::chrono::nanoseconds::max()}.resolve(1), no_deadline);
    EXPECT_EQ(deadline{std::chrono::duration<double>{1e300}}.resolve(1), no_deadline);
    EXPECT_LT(deadline{std::chrono::hours::min()}.resolve(1), 0);
    EXPECT_EQ(deadline{time_point::max()}.resolve(1), no_deadline);
    EXPECT_LT(deadline{time_point::min()}.resolve(1), 0);
}

}  // namespace
}  // namespace belay::detail
