#include <belay/observability/impl/classify.hpp>
#include <belay/observability/impl/thread_proc.hpp>

#include <gtest/gtest.h>

namespace belay::detail {
namespace {

using namespace std::chrono_literals;
using enum stall_class;

struct row {
    const char* what;
    stall_window window;  // wall, cpu, run queue, state, lateness
    std::chrono::nanoseconds threshold;
    stall_class expected;
};

const row rows[] = {
    // it fires
    {"computes all the time", {50ms, 50ms, 0ms, 'R', 0ms}, 50ms, hog},
    {"computes most of the time", {50ms, 41ms, 5ms, 'R', 0ms}, 50ms, hog},
    {"computes, seen for half of the threshold only", {25ms, 24ms, 0ms, 'R', 0ms}, 50ms, hog},
    {"computes on a shared CPU: half of the time, but a threshold of it", {100ms, 50ms, 50ms, 'R', 0ms}, 50ms, hog},
    {"has computed and is asleep just now", {100ms, 70ms, 0ms, 'S', 0ms}, 50ms, hog},
    {"sleeps", {50ms, 200us, 0ms, 'S', 0ms}, 50ms, blocked},
    {"waits for a disk", {50ms, 200us, 0ms, 'D', 0ms}, 50ms, blocked},
    {"sleeps, and the watchdog was late too", {60ms, 1ms, 0ms, 'S', 10ms}, 50ms, blocked},
    {"sleeps long after computing long", {200ms, 60ms, 0ms, 'S', 0ms}, 50ms, blocked},
    // it stays silent
    {"runnable, without a CPU, booked", {50ms, 5ms, 45ms, 'R', 0ms}, 50ms, starved},
    {"runnable, without a CPU, not booked yet", {50ms, 5ms, 0ms, 'R', 0ms}, 50ms, starved},
    {"half computing, half without a CPU", {50ms, 25ms, 25ms, 'R', 0ms}, 50ms, starved},
    {"the whole process was stopped", {150ms, 1ms, 0ms, 'S', 149ms}, 50ms, starved},
    {"stopped by a debugger", {500ms, 1ms, 0ms, 't', 0ms}, 50ms, starved},
    {"stopped by SIGSTOP", {500ms, 1ms, 0ms, 'T', 0ms}, 50ms, starved},
    {"half computing, half asleep", {50ms, 25ms, 0ms, 'S', 0ms}, 50ms, starved},
    {"a state that could not be read", {50ms, 1ms, 0ms, '?', 0ms}, 50ms, starved},
    {"an empty window", {0ms, 0ms, 0ms, 'S', 0ms}, 50ms, starved},
    {"clocks that disagree: more CPU than wall", {10ms, 12ms, 3ms, 'S', 0ms}, 50ms, hog},
    {"clocks that disagree: negative", {-1ms, 0ms, 0ms, 'S', 0ms}, 50ms, starved},
};

TEST(Classify, TheTableHolds) {
    for (const auto& r : rows)
        EXPECT_EQ(static_cast<int>(classify(r.window, r.threshold)), static_cast<int>(r.expected)) << r.what;
}

TEST(Classify, TheSplitAddsUpToTheWall) {
    for (const auto& r : rows) {
        if (r.window.wall.count() <= 0) continue;
        auto parts = split(r.window);
        EXPECT_EQ(parts.cpu + parts.waiting + parts.asleep, r.window.wall) << r.what;
    }
}

TEST(HostOverload, IsWhatPressureSaysOrElseTheLoad) {
    constexpr auto* busy =
        "some avg10=90.51 avg60=8.71 avg300=4.06 total=21156624546\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n";
    constexpr auto* calm = "some avg10=3.20 avg60=88.71 avg300=84.06 total=21156624546\n";
    EXPECT_TRUE(is_overloaded(busy, "0.10 1.00 1.00 1/100 1", 2));
    EXPECT_FALSE(is_overloaded(calm, "9.00 1.00 1.00 1/100 1", 2));
    EXPECT_TRUE(is_overloaded("", "4.10 1.00 1.00 1/100 1", 2));
    EXPECT_FALSE(is_overloaded("", "3.90 1.00 1.00 1/100 1", 2));
    EXPECT_FALSE(is_overloaded("", "", 2));
    EXPECT_TRUE(is_overloaded(calm, "0.10 1.00 1.00 9/100 1", 2)) << "since a moment ago";
    EXPECT_FALSE(is_overloaded(calm, "0.10 1.00 1.00 4/100 1", 2));
}

}  // namespace
}  // namespace belay::detail
