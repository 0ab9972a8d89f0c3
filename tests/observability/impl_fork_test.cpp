// What guardrails share in a process is free and whole in a child of fork(), whatever other threads did at that moment.
#include <belay/observability/guardrails.hpp>
#include <belay/observability/impl/allow_registry.hpp>
#include <belay/observability/impl/native_stack.hpp>
#include <belay/observability/impl/reporter.hpp>
#include <belay/observability/impl/suppressions.hpp>
#include <belay/tests/observability/stuck_thread.hpp>

#include <gtest/gtest.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include <atomic>
#include <limits>
#include <mutex>
#include <thread>

namespace belay::detail {
namespace {

using namespace std::chrono_literals;

/// True if `work` says so in a child, which is ended if it hangs.
template <class F>
bool holds_in_a_child(F work) {
    pid_t child = ::fork();
    if (child == 0) {
        ::alarm(60);
        ::_exit(work() ? 0 : 1);
    }
    int status = -1;
    return ::waitpid(child, &status, 0) == child && status == 0;
}

TEST(Fork, LocksOfReportsAreFree) {
    (void)is_suppressed({});
    (void)process_reporter();
    std::atomic<bool> over{false};
    std::thread holds_it_most_of_the_time{[&] {
        while (!over) std::scoped_lock held{process_reporter().lock()};
    }};
    int held_on = 0;
    for (int i = 0; i < 20; ++i) {
        held_on += holds_in_a_child([] {
            std::scoped_lock mine{process_reporter().lock()};
            return !is_suppressed({});
        });
    }
    over = true;
    holds_it_most_of_the_time.join();
    EXPECT_EQ(held_on, 20);
}

TEST(Fork, AThreadThatIsAllowedStaysSoInTheChild) {
    { guardrails::allow before{"its place is claimed"}; }
    EXPECT_TRUE(holds_in_a_child([] {
        auto self = static_cast<int>(::syscall(SYS_gettid));
        guardrails::allow here{"the child"};
        return thread_allowed_until(self) == std::numeric_limits<std::int64_t>::max();
    }));
}

TEST(Fork, AStackCanBeTakenAlthoughTheParentIsAtIt) {
    if (test::intercepted_calls) GTEST_SKIP() << "ThreadSanitizer starts no threads in a child";
    std::atomic<bool> over{false};
    std::atomic<int> blocks{0};
    std::thread blocks_signals{[&] {
        sigset_t all;
        sigfillset(&all);
        ::pthread_sigmask(SIG_SETMASK, &all, nullptr);
        blocks = static_cast<int>(::syscall(SYS_gettid));
        over.wait(false);
    }};
    while (blocks == 0) std::this_thread::yield();
    std::atomic<bool> began{false};
    std::thread waits_for_it{[&] {
        began = true;
        (void)interrupt_and_walk(blocks, 2s);
    }};
    while (!began) std::this_thread::yield();
    clockid_t used{};
    ASSERT_EQ(::pthread_getcpuclockid(waits_for_it.native_handle(), &used), 0);
    for (timespec time{}; time.tv_sec == 0 && time.tv_nsec < 20'000'000;) ::clock_gettime(used, &time);  // it is in there
    EXPECT_TRUE(holds_in_a_child([] {
        test::hog_thread hog;
        return interrupt_and_walk(hog.tid(), 30s).problem == nullptr;
    }));
    waits_for_it.join();
    over = true;
    over.notify_one();
    blocks_signals.join();
}

}  // namespace
}  // namespace belay::detail
