// A task whose system calls are dispatched (block=log:syscalls).
#pragma once

#include <belay/observability/impl/syscall_dispatch.hpp>
#include <belay/runtime/runtime.hpp>
#include <belay/runtime/yield.hpp>
#include <belay/tests/observability/guarded_runtime.hpp>

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

namespace belay::test {

inline constexpr const char* every_syscall = "all=log,stall=off,block=log:syscalls";

/// SIGTRAP, now and here. Not by a call: that would be made by the handler of SIGSYS, and what comes inside of it is not trapped.
inline void signal_between_calls() {
#if defined(__x86_64__)
    asm volatile("int3" ::: "memory");
#else
    ::raise(SIGTRAP);
#endif
}

class dispatched_task : public ::testing::Test {
protected:
    void SetUp() override {
        if (const char* why = detail::syscall_dispatch::missing()) GTEST_SKIP() << why;
    }
    /// The worker is still dispatched when `work` is done, but for what says that it is not.
    template <class F>
    void in_a_task(F work) {
        runtime rt{with_policy(every_syscall, 1)};
        rt.block_on([&]() -> task<> {
            work();
            co_await yield();  // what it has left behind is reported
            captured_reports captured;
            char byte = 0;
            (void)!::read(-1, &byte, 1);
            co_await yield();
            EXPECT_EQ(captured.sink->of(guardrail::blocking_call).size(), 1U) << "it is not dispatched any more";
        });
    }

private:
    captured_reports quiet_;
};

}  // namespace belay::test
