// A sanitizer sees as much in a program with belay::guard as in one without: what it intercepts is reached through the guard.
#include <belay/tests/observability/guarded_runtime.hpp>
#include <belay/tests/observability/stuck_thread.hpp>

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <thread>

namespace belay {
namespace {

#if defined(__SANITIZE_ADDRESS__)
#define BELAY_ADDRESS 1
#elif defined(__SANITIZE_THREAD__)
#define BELAY_THREAD 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define BELAY_ADDRESS 1
#elif __has_feature(thread_sanitizer)
#define BELAY_THREAD 1
#endif
#endif

class GuardSanitizers : public ::testing::Test {
protected:
    GuardSanitizers() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
    void in_a_task(void (*work)()) {
        runtime rt{test::with_policy("all=log,stall=off,block=off", 1)};
        rt.block_on([work]() -> task<> {
            work();
            co_return;
        });
    }
};

int unguarded = 0;

[[maybe_unused]] void race() {
    std::mutex one;
    std::mutex other;
    std::thread thread{[&] {
        std::scoped_lock lock{one};
        ++unguarded;
    }};
    {
        std::scoped_lock lock{other};  // the wrong one
        ++unguarded;
    }
    thread.join();
}

void no_race() {
    std::mutex one;
    std::thread thread{[&] {
        std::scoped_lock lock{one};
        ++unguarded;
    }};
    {
        std::scoped_lock lock{one};
        ++unguarded;
    }
    thread.join();
}

TEST_F(GuardSanitizers, ALockThatProtectsIsUnderstood) {
    EXPECT_EXIT(
        {
            no_race();
            in_a_task(no_race);
            std::exit(0);
        },
        ::testing::ExitedWithCode(0), "");
}

#if defined(BELAY_THREAD)
TEST_F(GuardSanitizers, ARaceIsFound) {
    EXPECT_EXIT(
        {
            // The sanitizer keeps a few accesses of each word only, and may miss one race; not all of them.
            for (int i = 0; i < 50; ++i) in_a_task(race);
            std::exit(0);
        },
        ::testing::ExitedWithCode(66), "data race");
}
#endif

#if defined(BELAY_ADDRESS)
void overflow() {
    test::pipe_pair pipe;
    (void)!::write(pipe.fds[1], "12345678", 8);
    auto four = std::make_unique<std::array<char, 4>>();
    volatile std::size_t too_much = 8;  // not to be seen by the compiler
    (void)!::read(pipe.fds[0], four->data(), too_much);
}
TEST_F(GuardSanitizers, AnOverflowInsideACallIsFound) { EXPECT_DEATH(in_a_task(overflow), "heap-buffer-overflow"); }
#endif

}  // namespace
}  // namespace belay
