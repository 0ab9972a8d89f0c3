// GoogleTest for coroutines.
//
//     BELAY_TEST(Echo, AnswersEachLine) {                       // on a runtime of its own
//         auto [a, b] = io::stream_pair();
//         ...
//         CO_ASSERT_EQ(co_await read_line(b), "hello");
//     }
//     BELAY_TEST_SIM(Transfer, LosesNoMoney) { ... }            // under many seeds, see explore.hpp
//     BELAY_TEST_EVERYWHERE(Transfer, MayBeStopped) { ... }     // and stopped, and failing, at each await, see everywhere.hpp
//     BELAY_TEST_SIM(Transfer, Slowly, .seeds = 10, .sim = {.max_steps = 1'000'000}) { ... }
//
// The body is a coroutine: it awaits, and the test ends when it does. EXPECT_* may be used in it as always; ASSERT_* contain a `return` and
// may not: CO_ASSERT_* are the same for coroutines that return task<>. GTEST_SKIP contains one, too: call a function that has it, and
// co_return. A SCOPED_TRACE may not live across a co_await in a BELAY_TEST: GoogleTest keeps it with the thread, and the task may go on
// on another one.
#pragma once

#include <belay/io/sim_network.hpp>
#include <belay/tests/kit/explore.hpp>
#include <belay/tests/kit/test_body.hpp>

#include <gtest/gtest.h>

#define BELAY_TEST(suite, name)                                                  \
    static ::belay::task<> belay_body_of_##suite##_##name();                     \
    TEST(suite, name) {                                                          \
        ::belay::kit::run_test([] { return belay_body_of_##suite##_##name(); }); \
    }                                                                            \
    static ::belay::task<> belay_body_of_##suite##_##name()

#define BELAY_TEST_SIM(suite, name, ...)                                                                   \
    static ::belay::task<> belay_body_of_##suite##_##name(::belay::simulation&);                           \
    TEST(suite, name) { ::belay::kit::run_simulated_test({__VA_ARGS__}, belay_body_of_##suite##_##name); } \
    static ::belay::task<> belay_body_of_##suite##_##name([[maybe_unused]] ::belay::simulation& sim)

#define BELAY_TEST_EVERYWHERE(suite, name, ...)                                                             \
    static ::belay::task<> belay_body_of_##suite##_##name(::belay::simulation&);                            \
    TEST(suite, name) { ::belay::kit::run_everywhere_test({__VA_ARGS__}, belay_body_of_##suite##_##name); } \
    static ::belay::task<> belay_body_of_##suite##_##name([[maybe_unused]] ::belay::simulation& sim)

#define BELAY_CO_FATAL_FAILURE_(message) co_return GTEST_MESSAGE_(message, ::testing::TestPartResult::kFatalFailure)
#define BELAY_CO_PRED_(compare, a, b) GTEST_PRED_FORMAT2_(compare, a, b, BELAY_CO_FATAL_FAILURE_)

#define CO_ASSERT_TRUE(condition) GTEST_TEST_BOOLEAN_((condition), #condition, false, true, BELAY_CO_FATAL_FAILURE_)
#define CO_ASSERT_FALSE(condition) GTEST_TEST_BOOLEAN_(!(condition), #condition, true, false, BELAY_CO_FATAL_FAILURE_)
#define CO_ASSERT_EQ(a, b) BELAY_CO_PRED_(::testing::internal::EqHelper::Compare, a, b)
#define CO_ASSERT_NE(a, b) BELAY_CO_PRED_(::testing::internal::CmpHelperNE, a, b)
#define CO_ASSERT_LT(a, b) BELAY_CO_PRED_(::testing::internal::CmpHelperLT, a, b)
#define CO_ASSERT_LE(a, b) BELAY_CO_PRED_(::testing::internal::CmpHelperLE, a, b)
#define CO_ASSERT_GT(a, b) BELAY_CO_PRED_(::testing::internal::CmpHelperGT, a, b)
#define CO_ASSERT_GE(a, b) BELAY_CO_PRED_(::testing::internal::CmpHelperGE, a, b)
#define CO_FAIL() BELAY_CO_FATAL_FAILURE_("Failed")

// For symmetry: what does not end the test needs no other form in a coroutine.
#define CO_EXPECT_TRUE(condition) EXPECT_TRUE(condition)
#define CO_EXPECT_FALSE(condition) EXPECT_FALSE(condition)
#define CO_EXPECT_EQ(a, b) EXPECT_EQ(a, b)
#define CO_EXPECT_NE(a, b) EXPECT_NE(a, b)
#define CO_EXPECT_LT(a, b) EXPECT_LT(a, b)
#define CO_EXPECT_LE(a, b) EXPECT_LE(a, b)
#define CO_EXPECT_GT(a, b) EXPECT_GT(a, b)
#define CO_EXPECT_GE(a, b) EXPECT_GE(a, b)

/// The statement, which may await, throws this type of exception.
#define CO_EXPECT_THROW(statement, type)                                \
    do {                                                                \
        bool belay_threw = false;                                       \
        try {                                                           \
            statement;                                                  \
        } catch (const type&) {                                         \
            belay_threw = true;                                         \
        }                                                               \
        EXPECT_TRUE(belay_threw) << #statement " did not throw " #type; \
    } while (false)
