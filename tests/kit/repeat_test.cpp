// What a failure says of how it is repeated, and of how simple it is: it was tried.
#include <belay/runtime/scope.hpp>
#include <belay/runtime/sleep.hpp>
#include <belay/runtime/yield.hpp>
#include <belay/tests/kit/everywhere.hpp>
#include <belay/tests/kit/explore.hpp>

#include <gtest/gtest.h>

#include <cstdlib>
#include <stdexcept>
#include <string>

namespace belay::kit {
namespace {

using namespace std::chrono_literals;

/// Ten reads and writes with an await between them: fails for many schedules, of which some are simple.
task<> lost_updates(simulation&) {
    int sum = 0;
    co_await with_scope([&](scope& s) -> task<> {
        for (int i = 0; i < 10; ++i)
            s.spawn([&]() -> task<> {
                int read = sum;
                co_await yield();
                sum = read + 1;
            });
        co_return;
    });
    if (sum > 2 && sum < 7) throw std::runtime_error("updates are lost");
}

TEST(Shrinking, SaysThatChoicesAreNeededOnlyWhenItHasTriedEach) {
    auto full = explore({.seeds = 200}, lost_updates).failure;
    ASSERT_TRUE(full);
    EXPECT_TRUE(full->simple);
    EXPECT_NE(full->text().find(" choices are needed for it"), std::string::npos) << full->text();

    auto none = explore({.seeds = 200, .shrink_runs = 0}, lost_updates).failure;
    ASSERT_TRUE(none);
    EXPECT_FALSE(none->simple);
    EXPECT_EQ(none->text().find("are needed for it"), std::string::npos) << none->text();

    auto few = explore({.seeds = 200, .shrink_runs = 5}, lost_updates).failure;
    ASSERT_TRUE(few);
    EXPECT_FALSE(few->simple);
    EXPECT_EQ(few->text().find("are needed for it"), std::string::npos) << few->text();
    EXPECT_NE(few->text().find("choices are left after 5 runs"), std::string::npos) << few->text();
}

/// Fails in one run of this process, whatever its schedule is.
program fails_in_run(int number, int& runs) {
    return [number, &runs](simulation&) -> task<> {
        bool fails = ++runs == number;
        co_await with_scope([&](scope& s) -> task<> {
            for (int i = 0; i < 3; ++i) s.spawn([]() -> task<> { co_await yield(); });
            co_return;
        });
        if (fails) throw std::runtime_error("once only");
    };
}

void expect_told_as_not_repeating(const std::optional<failed_run>& failure) {
    ASSERT_TRUE(failure);
    EXPECT_EQ(failure->kind, failure_kind::not_deterministic);
    EXPECT_FALSE(failure->simple);
    EXPECT_TRUE(failure->trace.empty()) << "of a run that did not fail";
    std::string text = failure->text();
    EXPECT_NE(text.find("once only"), text.npos) << text;
    EXPECT_NE(text.find("not simulated"), text.npos) << text;
    EXPECT_EQ(text.find("repeat it with"), text.npos) << text;
    EXPECT_EQ(text.find("BELAY_SCHEDULE"), text.npos) << text;
}

TEST(Repeating, AFailureThatDoesNotRepeatIsNotSaidTo) {
    int runs = 0;
    expect_told_as_not_repeating(explore({.seeds = 200}, fails_in_run(7, runs)).failure);
    runs = 0;
    expect_told_as_not_repeating(explore({.seeds = 200, .shrink = false}, fails_in_run(7, runs)).failure);
}

TEST(Repeating, AStopOrAnErrorSomewhereIsTriedAgain) {
    auto sleeps = [](simulation&) -> task<> {
        for (int i = 0; i < 3; ++i) co_await sleep_for(1ms);
    };
    int runs = 0;
    auto in_the_third_run = [&]() -> std::string { return ++runs == 3 ? "once only" : ""; };
    expect_told_as_not_repeating(stop_everywhere({.check = in_the_third_run}, sleeps).failure);
    runs = 0;
    expect_told_as_not_repeating(fail_everywhere({.check = in_the_third_run}, sleeps).failure);
}

TEST(Repeating, AScheduleThatNoVariableCanHoldIsNotPrinted) {
    failed_run failure;
    failure.kind = failure_kind::error;
    failure.seed = 5;
    for (std::uint32_t i = 0; i < 100'000; ++i) failure.schedule.choices.push_back({i, 1});
    std::string text = failure.text();
    EXPECT_LT(text.size(), 1'000U);
    EXPECT_NE(text.find("BELAY_SEED=5 alone"), text.npos) << text.substr(0, 1'000);
}

TEST(Repeating, AScheduleWithoutItsSeedIsRefused) {
    ::setenv("BELAY_SCHEDULE", "-", 1);
    try {
        explore({.seeds = 1}, lost_updates);
        ADD_FAILURE() << "it was ignored";
    } catch (const std::invalid_argument& error) {
        EXPECT_NE(std::string{error.what()}.find("BELAY_SEED"), std::string::npos) << error.what();
    }
    ::unsetenv("BELAY_SCHEDULE");
}

// ---- programs that do not end -------------------------------------------------------------------------------------

/// Does not end while each choice is made: none can be left out.
task<> ends_when_nothing_is_drawn(simulation& sim) {
    while (sim.draw(1'000'000) != 0) co_await yield();
}

TEST(Shrinking, OfAProgramThatDoesNotEndIsShort) {
    constexpr std::size_t most_steps = 20'000;
    auto failure =
        explore({.seeds = 1, .sim = {.how = interleaving::uniform, .max_steps = most_steps}}, ends_when_nothing_is_drawn).failure;
    ASSERT_TRUE(failure);
    EXPECT_EQ(failure->kind, failure_kind::too_many_steps);
    EXPECT_NE(failure->what.find("waits on ready"), std::string::npos) << failure->what;
    EXPECT_LT(failure->shrink_runs, 1'000U);
    EXPECT_FALSE(failure->simple);
    EXPECT_NE(failure->text().find("choices are left after"), std::string::npos);
    EXPECT_NE(failure->text().find("alone"), std::string::npos) << "its schedule is long";
}

}  // namespace
}  // namespace belay::kit
