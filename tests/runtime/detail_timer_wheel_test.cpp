#include <belay/runtime/detail/timer_wheel.hpp>

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace {

using belay::detail::timer_node;
using belay::detail::timer_wheel;

constexpr std::int64_t tick = timer_wheel::tick_ns;
constexpr std::int64_t year = std::int64_t{365} * 24 * 3600 * 1'000'000'000;

std::vector<timer_node*> expired(timer_wheel& wheel, std::int64_t now) {
    std::vector<timer_node*> nodes;
    for (timer_node* node = wheel.expire(now); node != nullptr; node = node->next) nodes.push_back(node);
    return nodes;
}

using nodes = std::vector<timer_node*>;

TEST(TimerWheel, AnEmptyOneNeverExpires) {
    timer_wheel wheel(0);
    EXPECT_EQ(wheel.next_expiry_ns(), timer_wheel::never_ns);
    EXPECT_TRUE(wheel.empty());
    EXPECT_EQ(wheel.expire(year), nullptr);
}

TEST(TimerWheel, FiresAtTheTickAfterTheDeadlineAndNotBefore) {
    timer_wheel wheel(0);
    timer_node timer;
    wheel.insert(timer, 10 * tick + 1);
    EXPECT_TRUE(timer.linked());
    EXPECT_EQ(wheel.next_expiry_ns(), 11 * tick);
    EXPECT_EQ(wheel.expire(10 * tick + 1), nullptr);
    EXPECT_EQ(wheel.expire(11 * tick - 1), nullptr);
    EXPECT_EQ(expired(wheel, 11 * tick), nodes{&timer});
    EXPECT_FALSE(timer.linked());
    EXPECT_TRUE(wheel.empty());
}

TEST(TimerWheel, ADeadlineOnATickFiresAtIt) {
    timer_wheel wheel(0);
    timer_node timer;
    wheel.insert(timer, 64 * tick);
    EXPECT_EQ(wheel.next_expiry_ns(), 64 * tick);
    EXPECT_EQ(expired(wheel, 64 * tick), nodes{&timer});
}

TEST(TimerWheel, WhatIsDueIsKnownAlsoWhenTheEarliestWasTakenOut) {
    timer_wheel wheel(0);
    EXPECT_FALSE(wheel.has_due(year, 64));
    timer_node first;
    timer_node second;
    wheel.insert(first, 100 * tick);  // both in one slot of the second level
    wheel.insert(second, 120 * tick);
    EXPECT_FALSE(wheel.has_due(99 * tick, 64));
    EXPECT_TRUE(wheel.has_due(100 * tick, 64));
    wheel.remove(first);
    EXPECT_EQ(wheel.next_expiry_ns(), 100 * tick);  // a lower bound
    EXPECT_FALSE(wheel.has_due(119 * tick, 64));
    EXPECT_TRUE(wheel.has_due(120 * tick, 64));
    EXPECT_FALSE(wheel.has_due(120 * tick, 0));  // looks at none
    wheel.remove(second);
}

TEST(TimerWheel, APassedDeadlineFiresAtOnce) {
    timer_wheel wheel(100 * tick);
    timer_node timer;
    wheel.insert(timer, 3 * tick);
    EXPECT_LE(wheel.next_expiry_ns(), 100 * tick);
    EXPECT_EQ(expired(wheel, 100 * tick), nodes{&timer});
}

TEST(TimerWheel, RemoveTellsWhetherTheTimerWasStillThere) {
    timer_wheel wheel(0);
    timer_node never;
    timer_node removed;
    timer_node fired;
    EXPECT_FALSE(wheel.remove(never));
    wheel.insert(removed, tick);
    wheel.insert(fired, tick);
    EXPECT_TRUE(wheel.remove(removed));
    EXPECT_FALSE(wheel.remove(removed));
    EXPECT_EQ(expired(wheel, tick), nodes{&fired});
    EXPECT_FALSE(wheel.remove(fired));
}

TEST(TimerWheel, RemoveWorksAnywhereInASlot) {
    for (std::size_t victim = 0; victim < 3; ++victim) {
        timer_wheel wheel(0);
        std::vector<timer_node> timers(3);
        for (auto& each : timers) wheel.insert(each, 5 * tick);
        EXPECT_TRUE(wheel.remove(timers[victim]));
        timer_node last;
        wheel.insert(last, 5 * tick);
        nodes expected;
        for (auto& each : timers)
            if (&each != &timers[victim]) expected.push_back(&each);
        expected.push_back(&last);
        EXPECT_EQ(expired(wheel, 5 * tick), expected);
    }
}

TEST(TimerWheel, ARemovedTimerCanBeInsertedAgain) {
    timer_wheel wheel(0);
    timer_node timer;
    wheel.insert(timer, year);
    wheel.remove(timer);
    EXPECT_EQ(wheel.next_expiry_ns(), timer_wheel::never_ns);
    wheel.insert(timer, tick);
    EXPECT_EQ(expired(wheel, tick), nodes{&timer});
    wheel.insert(timer, 2 * tick);
    EXPECT_EQ(expired(wheel, 2 * tick), nodes{&timer});
}

TEST(TimerWheel, FiresInOrderOfDeadlinesAcrossLevels) {
    timer_wheel wheel(0);
    const std::vector<std::int64_t> ticks{1, 63, 64, 65, 4095, 4096, 4097, 262'143, 262'144, 300'000'000'000};
    std::vector<timer_node> timers(ticks.size());
    for (std::size_t i = ticks.size(); i-- > 0;) wheel.insert(timers[i], ticks[i] * tick);
    nodes expected;
    for (auto& each : timers) expected.push_back(&each);
    EXPECT_EQ(expired(wheel, 300'000'000'000 * tick), expected);
}

TEST(TimerWheel, TimersOfOneTickFireInOrderOfInsertionEvenIfSomeHadToComeDown) {
    timer_wheel wheel(0);
    std::vector<timer_node> timers(4);
    wheel.insert(timers[0], 5000 * tick);  // level 2
    ASSERT_EQ(wheel.expire(4500 * tick), nullptr);
    wheel.insert(timers[1], 5000 * tick);  // level 1
    ASSERT_EQ(wheel.expire(4999 * tick), nullptr);
    wheel.insert(timers[2], 5000 * tick);  // level 0
    wheel.insert(timers[3], 4999 * tick + 1);
    EXPECT_EQ(expired(wheel, 5000 * tick), (nodes{&timers[0], &timers[1], &timers[2], &timers[3]}));
}

TEST(TimerWheel, ASleeperWakesOnceForAFarTimer) {
    timer_wheel wheel(12'345);
    timer_node timer;
    wheel.insert(timer, 3 * year + 17);
    const std::int64_t wake = wheel.next_expiry_ns();
    EXPECT_GE(wake, 3 * year + 17);
    EXPECT_LT(wake, 3 * year + 17 + tick);
    EXPECT_EQ(wheel.expire(wake - 1), nullptr);
    EXPECT_EQ(wheel.next_expiry_ns(), wake);
    EXPECT_EQ(expired(wheel, wake), nodes{&timer});
}

TEST(TimerWheel, RemovingTheEarliestOfASlotLeavesABoundThatIsNotLate) {
    timer_wheel wheel(0);
    timer_node early;
    timer_node late;
    wheel.insert(early, 70 * tick);
    wheel.insert(late, 100 * tick);  // the same slot of level 1
    wheel.remove(early);
    const std::int64_t wake = wheel.next_expiry_ns();
    EXPECT_LE(wake, 100 * tick);
    EXPECT_EQ(wheel.expire(wake), nullptr);
    EXPECT_EQ(wheel.next_expiry_ns(), 100 * tick);  // the false alarm came once
    EXPECT_EQ(expired(wheel, 100 * tick), nodes{&late});
}

TEST(TimerWheel, ManyYearsAtOnceAreOneStep) {
    timer_wheel wheel(0);
    timer_node timer;
    for (std::int64_t now = 0; now < 200 * year; now += year) {
        wheel.insert(timer, now + year - 1);
        ASSERT_EQ(wheel.expire(now + year / 2), nullptr);
        ASSERT_EQ(expired(wheel, now + year), nodes{&timer});
    }
}

TEST(TimerWheel, AClockThatStepsBackYieldsNothing) {
    timer_wheel wheel(0);
    EXPECT_EQ(wheel.expire(100 * tick), nullptr);
    timer_node timer;
    wheel.insert(timer, 50 * tick);
    EXPECT_EQ(wheel.expire(60 * tick), nullptr);
    EXPECT_EQ(wheel.size(), 1U);
    EXPECT_EQ(expired(wheel, 100 * tick), nodes{&timer});
}

TEST(TimerWheel, TheEndsOfTheClockAreOrdinaryTimes) {
    constexpr auto first = std::numeric_limits<std::int64_t>::min();
    constexpr auto last = std::numeric_limits<std::int64_t>::max();
    timer_wheel wheel(first);
    timer_node at_zero;
    timer_node at_end;
    timer_node below_zero;
    wheel.insert(at_end, last);
    wheel.insert(at_zero, 0);
    wheel.insert(below_zero, -1);
    EXPECT_EQ(wheel.next_expiry_ns(), 0);
    EXPECT_EQ(wheel.expire(-1), nullptr);
    EXPECT_EQ(expired(wheel, 0), (nodes{&at_zero, &below_zero}));
    EXPECT_EQ(wheel.expire(last - tick), nullptr);
    EXPECT_EQ(expired(wheel, last), nodes{&at_end});
}

}  // namespace
