// Mistakes that were made on purpose, of the kinds that tests do not show: each is found within 10,000 seeds, and made simple.
#include <belay/tests/kit/explore.hpp>
#include <belay/tests/kit/planted/lock_order.hpp>
#include <belay/tests/kit/planted/lost_message.hpp>
#include <belay/tests/kit/planted/lost_wakeup.hpp>

#include <gtest/gtest.h>

namespace belay::kit {
namespace {

constexpr std::size_t most_seeds = 10'000;
/// Lock order is reported in every run that takes both ways, deadlocked or not: without it, the schedule has to be found.
constexpr const char* without_order = "all=callback,error=off,order=off";

failed_run found(const program& planted, interleaving how) {
    auto result = explore({.seeds = most_seeds, .sim = {.how = how, .guardrails = without_order}}, planted);
    if (!result.failure) {
        ADD_FAILURE() << "not found";
        return {};
    }
    EXPECT_LE(result.failure->schedule.choices.size(), 6U) << result.failure->text();
    return std::move(*result.failure);
}

class Planted : public ::testing::TestWithParam<interleaving> {};

TEST_P(Planted, ALostWakeUpIsFound) {
    auto failure = found(planted::lost_wakeup, GetParam());
    EXPECT_EQ(failure.kind, failure_kind::deadlock);
    EXPECT_NE(failure.what.find("waits on event.wait"), std::string::npos) << failure.what;
}

TEST_P(Planted, ADeadlockByLockOrderIsFound) {
    auto failure = found(planted::lock_order, GetParam());
    EXPECT_EQ(failure.kind, failure_kind::deadlock);
    EXPECT_NE(failure.what.find("waits on mutex.lock"), std::string::npos) << failure.what;
}

TEST_P(Planted, AMessageThatAStopLosesIsFound) {
    auto failure = found(planted::lost_message, GetParam());
    EXPECT_EQ(failure.kind, failure_kind::error);
    EXPECT_EQ(failure.what, "the program threw: a message is lost");
}

TEST_P(Planted, NoneShowsInARunThatNothingInterferesWith) {
    for (const program& planted : {program{planted::lost_wakeup}, program{planted::lock_order}, program{planted::lost_message}}) {
        auto result = explore({.seeds = 1, .sim = {.how = interleaving::calm, .guardrails = without_order}}, planted);
        EXPECT_FALSE(result.failure) << result.failure->text();
    }
}

// The guardrail needs no luck: the two orders are enough, whoever comes first.
TEST(PlantedLockOrder, IsToldByARunThatDoesNotDeadlock) {
    auto result = explore({.seeds = 1, .sim = {.how = interleaving::calm}}, planted::lock_order);
    ASSERT_TRUE(result.failure);
    EXPECT_EQ(result.failure->kind, failure_kind::guardrail);
    EXPECT_NE(result.failure->what.find("taken the other way round"), std::string::npos) << result.failure->what;
}

INSTANTIATE_TEST_SUITE_P(How, Planted, ::testing::Values(interleaving::uniform, interleaving::pct, interleaving::mixed));

}  // namespace
}  // namespace belay::kit
