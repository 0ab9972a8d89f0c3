// block=log:syscalls where it does not work: then it is as block=log:any, and it is said why.
#include <belay/observability/guardrails.hpp>
#include <belay/observability/impl/syscall_dispatch.hpp>
#include <belay/observability/impl/syscall_trap.hpp>
#include <belay/tests/observability/dispatched_task.hpp>

#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <iterator>
#include <string>

namespace belay {
namespace {

using test::every_syscall;
using test::with_policy;

TEST(SyscallDispatchMissing, ThenItIsAsAnyAndTheSelfTestSaysWhy) {
    const char* why = detail::syscall_dispatch::missing();
    if (why == nullptr) GTEST_SKIP() << "it works here";
    runtime rt{with_policy(every_syscall, 1)};
    EXPECT_NE(guardrails::self_test().find(why), std::string::npos) << guardrails::self_test();
    rt.block_on([]() -> task<> {
        ::syscall(SYS_nanosleep, nullptr, nullptr);
        co_return;
    });
}

#ifndef BELAY_NO_SYSCALL_TRAPS
void ask_for_it_and_leave() {
    {
        runtime rt{with_policy(every_syscall, 1)};
        rt.block_on([]() -> task<> {
            ::syscall(SYS_nanosleep, nullptr, nullptr);
            co_return;
        });
    }
    std::_Exit(guardrails::self_test().find("block=log:syscalls) (") != std::string::npos ? 0 : 1);
}

/// prctl() knows no such option, as in a sandbox and before Linux 5.11.
void forbid_dispatch() {
    constexpr unsigned set_user_dispatch = 59;
    sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_prctl, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[0])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, set_user_dispatch, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    sock_fprog program{std::size(filter), filter};
    ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) std::_Exit(2);
}

TEST(SyscallDispatchDeathTest, WhyItDoesNotWorkIsSaid) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_EXIT(
        {
            forbid_dispatch();
            ask_for_it_and_leave();
        },
        testing::ExitedWithCode(0), "block=log:syscalls is as block=log:any here: no Syscall User Dispatch");
    EXPECT_EXIT(
        {
            ::signal(SIGSYS, SIG_IGN);
            ask_for_it_and_leave();
        },
        testing::ExitedWithCode(0), "block=log:syscalls is as block=log:any here: the program handles or ignores SIGSYS");
    EXPECT_EXIT(
        {
            ::setenv("LD_PRELOAD", "/usr/libexec/valgrind/vgpreload_core-amd64-linux.so", 1);
            ask_for_it_and_leave();
        },
        testing::ExitedWithCode(0), "block=log:syscalls is as block=log:any here: Valgrind");
}
#endif

}  // namespace
}  // namespace belay
