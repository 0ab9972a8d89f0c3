#include <belay/observability/impl/throttle.hpp>

#include <gtest/gtest.h>

#include <vector>

namespace belay::detail {
namespace {

using namespace std::chrono_literals;

struct throttle_at {
    report_throttle throttle;
    report_throttle::clock::time_point now{1000s};
    report_throttle::decision admit(std::uint64_t key, guardrail kind = guardrail::lost_error, bool always = false) {
        return throttle.admit(kind, key, now, always);
    }
};

TEST(ReportThrottle, WritesTheFirstTenthAndHundredthOfAPlace) {
    throttle_at t;
    std::vector<std::uint64_t> written;
    for (int i = 1; i <= 1000; ++i) {
        t.now += 1s;
        if (auto d = t.admit(7); d.write) written.push_back(d.occurrence);
    }
    EXPECT_EQ(written, (std::vector<std::uint64_t>{1, 10, 100, 1000}));
}

TEST(ReportThrottle, WritesFiveAMinuteOfAKindAndSaysHowManyItDropped) {
    throttle_at t;
    int written = 0;
    for (std::uint64_t place = 1; place <= 20; ++place) written += t.admit(place).write ? 1 : 0;
    EXPECT_EQ(written, 5);
    t.now += 59s;
    EXPECT_FALSE(t.admit(100).write);
    t.now += 1s;
    auto next = t.admit(101);
    EXPECT_TRUE(next.write);
    EXPECT_EQ(next.suppressed, 16U);
    EXPECT_EQ(t.admit(102).suppressed, 0U) << "said once";
}

TEST(ReportThrottle, WhatTheRateLimitHeldBackIsWrittenWhenThereIsRoom) {
    throttle_at t;
    for (std::uint64_t place = 1; place <= 5; ++place) (void)t.admit(place);
    EXPECT_FALSE(t.admit(6).write);
    t.now += 60s;
    auto again = t.admit(6);
    EXPECT_TRUE(again.write);
    EXPECT_EQ(again.occurrence, 2U);
}

TEST(ReportThrottle, KindsDoNotShareTheirLimitsOrPlaces) {
    throttle_at t;
    for (std::uint64_t place = 1; place <= 6; ++place) (void)t.admit(place);
    auto other = t.admit(1, guardrail::task_leak);
    EXPECT_TRUE(other.write);
    EXPECT_EQ(other.occurrence, 1U);
}

TEST(ReportThrottle, APanicIsAlwaysWritten) {
    throttle_at t;
    for (int i = 0; i < 30; ++i) EXPECT_TRUE(t.admit(1, guardrail::blocked_worker, true).write);
}

TEST(ReportThrottle, MorePlacesThanItCanTellApartAreStillRateLimited) {
    throttle_at t;
    int written = 0;
    for (std::uint64_t place = 0; place < 100'000; ++place) written += t.admit(place * 0x9e3779b97f4a7c15U).write ? 1 : 0;
    EXPECT_EQ(written, 5);
}

TEST(ReportThrottle, SuppressedPlacesLeaveTheLimitToOthers) {
    throttle_at t;
    for (std::uint64_t place = 1; place <= 10; ++place) {
        auto d = t.admit(place);
        EXPECT_TRUE(d.write);
        t.throttle.suppress(guardrail::lost_error, place, d.suppressed);
    }
    int written = 0;
    for (std::uint64_t place = 11; place <= 30; ++place) written += t.admit(place).write ? 1 : 0;
    EXPECT_EQ(written, 5);
    EXPECT_TRUE(t.admit(1, guardrail::task_leak).write) << "of another guardrail";
}

// What fires there next need not be what is suppressed: of a stall the place is no more than the innermost frames.
TEST(ReportThrottle, ASuppressedPlaceIsLookedAtAgainAtDoubleTheNumber) {
    throttle_at t;
    std::vector<std::uint64_t> looked;
    for (int i = 1; i <= 40; ++i) {
        auto d = t.admit(7);
        if (!d.write) continue;
        looked.push_back(d.occurrence);
        t.throttle.suppress(guardrail::lost_error, 7, d.suppressed);
    }
    EXPECT_EQ(looked, (std::vector<std::uint64_t>{1, 2, 4, 8, 16, 32}));
}

TEST(ReportThrottle, APanicIsLookedAtAlthoughItsPlaceWasSuppressed) {
    throttle_at t;
    for (int i = 0; i < 30; ++i) {
        auto d = t.admit(1, guardrail::blocked_worker, true);
        EXPECT_TRUE(d.write);
        t.throttle.suppress(guardrail::blocked_worker, 1, d.suppressed);
    }
}

}  // namespace
}  // namespace belay::detail
