#include <belay/observability/guardrails.hpp>

#include <gtest/gtest.h>

#include <cstdlib>
#include <stdexcept>
#include <string>

namespace belay {
namespace {

using namespace std::chrono_literals;
using guardrails::action;
using guardrails::parse_policy;
using guardrails::policy;

policy all_log() {
    policy result;
    result[guardrail::blocked_worker].threshold = 7ms;
    return result;
}

std::string refusal_of(std::string_view text) {
    try {
        (void)parse_policy(text, all_log());
    } catch (const std::invalid_argument& wrong) {
        return wrong.what();
    }
    return "accepted";
}

TEST(GuardrailPolicy, AnEmptyTextChangesNothing) {
    EXPECT_EQ(parse_policy("", all_log()), all_log());
    EXPECT_EQ(parse_policy(" , ,", all_log()), all_log());
}

TEST(GuardrailPolicy, EachWordChangesItsGuardrailOnly) {
    for (std::size_t i = 0; i < guardrail_count; ++i) {
        auto kind = static_cast<guardrail>(i);
        auto expected = all_log();
        expected[kind].then = action::callback;
        EXPECT_EQ(parse_policy(std::string{guardrails::policy_word(kind)} + "=callback", all_log()), expected);
    }
}

TEST(GuardrailPolicy, TheExampleOfTheDocumentationMeansWhatItSays) {
    auto parsed = parse_policy("stall=panic:50ms,lock=log,leak=off", all_log());
    EXPECT_EQ(parsed[guardrail::blocked_worker], (guardrails::rule{action::panic, 50ms}));
    EXPECT_EQ(parsed[guardrail::guard_across_suspension].then, action::log);
    EXPECT_EQ(parsed[guardrail::task_leak].then, action::off);
}

TEST(GuardrailPolicy, ThresholdsHaveUnits) {
    auto threshold = [](const char* text) { return parse_policy(text, all_log())[guardrail::blocked_worker].threshold; };
    EXPECT_EQ(threshold("stall=log:500us"), 500us);
    EXPECT_EQ(threshold("stall=log:50ms"), 50ms);
    EXPECT_EQ(threshold("stall=log:1s"), 1s);
    EXPECT_EQ(threshold("stall=log:250ns"), 250ns);
    EXPECT_EQ(threshold("stall=log"), 7ms) << "without one the threshold stays";
}

TEST(GuardrailPolicy, BlockingCallsMayBeLookedForWithoutAThreshold) {
    auto any = parse_policy("block=log:any", all_log())[guardrail::blocking_call];
    EXPECT_EQ(any.threshold, 0ns);
    EXPECT_FALSE(any.syscalls);
    auto syscalls = parse_policy("block=panic:syscalls", all_log());
    EXPECT_EQ(syscalls[guardrail::blocking_call], (guardrails::rule{action::panic, 0ns, true}));
    EXPECT_TRUE(parse_policy("block=log", syscalls)[guardrail::blocking_call].syscalls);
    EXPECT_FALSE(parse_policy("block=log:1ms", syscalls)[guardrail::blocking_call].syscalls);
    EXPECT_NE(refusal_of("stall=log:syscalls").find("is not a threshold"), std::string::npos);
}

TEST(GuardrailPolicy, AllStandsForEveryGuardrailAndLaterWordsWin) {
    auto parsed = parse_policy(" all = off , stall = log : 9ms ", all_log());
    for (std::size_t i = 0; i < guardrail_count; ++i)
        EXPECT_EQ(parsed.rules[i].then, static_cast<guardrail>(i) == guardrail::blocked_worker ? action::log : action::off);
    EXPECT_EQ(parsed[guardrail::blocked_worker].threshold, 9ms);
}

TEST(GuardrailPolicy, ARefusalNamesTheWrongWordAndTheRightOnes) {
    EXPECT_EQ(
        refusal_of("stal=log"),
        "belay: guardrail policy \"stal=log\": \"stal\" is not a guardrail; accepted: stall, lock, block, stop, cleanup, leak, error, await, deadlock, fanout, pool, capture, order, starve, all");
    EXPECT_EQ(refusal_of("lock=warn"),
              "belay: guardrail policy \"lock=warn\": \"warn\" is not an action; accepted: off, log, panic, callback");
    EXPECT_EQ(refusal_of("lock"),
              "belay: guardrail policy \"lock\": \"lock\" has no '='; write guardrail=action, for example stall=panic:50ms");
    EXPECT_EQ(
        refusal_of("lock=log:50ms"),
        "belay: guardrail policy \"lock=log:50ms\": \"lock\" takes no threshold; only stall, block, stop, deadlock, pool and starve do");
}

TEST(GuardrailPolicy, WrongThresholdsAreRefused) {
    for (const char* text :
         {"50", "ms", "50m", "-1ms", "0ms", "1.5s", "", "999999999999999999999s", "4000s", "9223372036854775807s"})
        EXPECT_NE(refusal_of(std::string{"stall=log:"} + text).find("is not a threshold"), std::string::npos) << text;
}

TEST(GuardrailPolicy, TheEnvironmentIsAppliedOnTop) {
    ::setenv("BELAY_GUARDRAILS", "stall=off", 1);
    auto effective = guardrails::effective_policy("stall=panic:5ms,lock=off");
    EXPECT_EQ(effective[guardrail::blocked_worker].then, action::off);
    EXPECT_EQ(effective[guardrail::guard_across_suspension].then, action::off);
    ::setenv("BELAY_GUARDRAILS", "stall=maybe", 1);
    EXPECT_THROW((void)guardrails::effective_policy(""), std::invalid_argument);
    try {
        (void)guardrails::effective_policy("");
    } catch (const std::invalid_argument& wrong) {
        EXPECT_NE(std::string{wrong.what()}.find("(from BELAY_GUARDRAILS in the environment)"), std::string::npos);
    }
    ::unsetenv("BELAY_GUARDRAILS");
}

TEST(GuardrailPolicy, StarvationHasALimitAndOnlyLogs) {
    EXPECT_EQ(guardrails::policy_word(guardrail::starvation), "starve");
    EXPECT_EQ(guardrails::default_policy()[guardrail::starvation].then, action::log);
    EXPECT_GE(guardrails::default_policy()[guardrail::starvation].threshold, 250ms);
    EXPECT_EQ(parse_policy("starve=panic:1s", all_log())[guardrail::starvation], (guardrails::rule{action::panic, 1s}));
}

TEST(GuardrailPolicy, WhatMayBeRightNeverPanicsByDefault) {
    EXPECT_EQ(guardrails::default_policy()[guardrail::borrowed_captures].then, action::log);
    for (auto kind :
         {guardrail::lost_error, guardrail::deadlock, guardrail::cleanup_overrun, guardrail::fan_out, guardrail::pool_saturated})
        EXPECT_EQ(guardrails::default_policy()[kind].then, action::log);
    EXPECT_NE(guardrails::default_policy()[guardrail::lock_order].then, action::panic);
    EXPECT_GE(guardrails::default_policy()[guardrail::blocked_worker].threshold, 50ms);
}

}  // namespace
}  // namespace belay
