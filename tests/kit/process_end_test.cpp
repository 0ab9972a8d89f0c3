// What ends a process in the middle of a test tells which run it was; and a debugger may take its time.
#include <belay/observability/impl/thread_proc.hpp>
#include <belay/runtime/blocking.hpp>
#include <belay/runtime/sleep.hpp>
#include <belay/runtime/yield.hpp>
#include <belay/tests/kit/explore.hpp>
#include <belay/tests/kit/run_guard.hpp>
#include <belay/tests/kit/test_body.hpp>

#include <gtest/gtest.h>

#include <sys/ptrace.h>

#include <csignal>
#include <cstdlib>

namespace belay::kit {
namespace {

class ProcessEndDeathTest : public ::testing::TestWithParam<int> {
protected:
    void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

TEST_P(ProcessEndDeathTest, AFaultTellsTheSeed) {
    EXPECT_DEATH(explore({.seeds = 3, .sim = {.seed = 78}},
                         [](simulation&) -> task<> {
                             ::raise(GetParam());
                             co_return;
                         }),
                 "BELAY_SEED=78");
}

INSTANTIATE_TEST_SUITE_P(Signal, ProcessEndDeathTest, ::testing::Values(SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP));

TEST(ProcessEndDeathTest, AnInstructionThatTrapsTellsTheSeed) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_DEATH(explore({.seeds = 3, .sim = {.seed = 79}},
                         [](simulation&) -> task<> {
                             __builtin_trap();
                             co_return;
                         }),
                 "BELAY_SEED=79");
}

/// In a process of its own: a test that is over its limit from the beginning, and has a tracer as a debugger is one.
[[noreturn]] void run_traced() {
    if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) std::_Exit(3);
    test_options options;
    options.runtime.guardrails = "all=off";
    options.limit = std::chrono::seconds{0};
    run_test(
        []() -> task<> {
            // Often enough for the watch to have looked; were it not for the tracer, it would end this at its first look.
            for (int i = 0; i < 200; ++i) co_await spawn_blocking([] { return belay::detail::is_traced(); });
        },
        options);
    std::_Exit(::testing::Test::HasFailure() ? 1 : 0);
}

TEST(ProcessEndDeathTest, ATestThatIsDebuggedIsNotEnded) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_EXIT(
        run_traced(),
        [](int status) {
            if (WIFEXITED(status) && WEXITSTATUS(status) == 3) return true;  // nothing may be traced here
            return WIFEXITED(status) && WEXITSTATUS(status) == 0;
        },
        "");
}

}  // namespace
}  // namespace belay::kit
