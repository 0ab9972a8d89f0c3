// block=log:syscalls: signals reach a task, and what it does with them, as without it.
#include <belay/observability/impl/syscall_trap.hpp>
#include <belay/tests/observability/dispatched_task.hpp>
#include <belay/tests/observability/stuck_thread.hpp>

#include <gtest/gtest.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <thread>

#ifndef BELAY_NO_SYSCALL_TRAPS
// As other languages' runtimes do it: the way back from a handler is not the C library's.
extern "C" void belay_test_way_back();
asm(R"(
    .pushsection .text
    .globl belay_test_way_back
    .type belay_test_way_back, @function
belay_test_way_back:
    movl $15, %eax
    syscall
    .size belay_test_way_back, . - belay_test_way_back
    .popsection
)");
#endif

namespace belay {
namespace {

using SyscallSignals = test::dispatched_task;

/// Sends a signal to the thread that made this, once it sleeps in that call.
class interruption {
public:
    interruption(int signal, long number)
        : thread_{[this, signal, number] {
              for (auto call = detail::read_syscall(tid_); !call.asleep || call.number != number;
                   call = detail::read_syscall(tid_))
                  std::this_thread::yield();
              ::pthread_kill(pthread_, signal);
          }} {}
    interruption(const interruption&) = delete;
    interruption& operator=(const interruption&) = delete;
    ~interruption() { thread_.join(); }

private:
    int tid_ = static_cast<int>(::syscall(SYS_gettid));
    pthread_t pthread_ = ::pthread_self();
    std::thread thread_;
};

std::atomic<int> signals{0};
/// Makes system calls of its own.
void count_signal(int) {
    int saved = errno;
    std::array<int, 2> ends{};
    if (::pipe(ends.data()) == 0) {
        (void)!::write(ends[1], "x", 1);
        ::close(ends[0]);
        ::close(ends[1]);
        signals.fetch_add(1, std::memory_order_relaxed);
    }
    errno = saved;
}

class installed {
public:
    installed(int signal, int flags, bool masks_all) : signal_{signal} {
        struct sigaction action{};
        action.sa_handler = count_signal;
        action.sa_flags = flags;
        ::sigemptyset(&action.sa_mask);
        if (masks_all) ::sigfillset(&action.sa_mask);
        EXPECT_EQ(::sigaction(signal, &action, &before_), 0);
        signals = 0;
    }
    installed(const installed&) = delete;
    installed& operator=(const installed&) = delete;
    ~installed() { ::sigaction(signal_, &before_, nullptr); }

private:
    int signal_;
    struct sigaction before_{};
};

TEST_F(SyscallSignals, ASignalInterruptsASleep) {
    installed handler{SIGUSR1, 0, false};
    in_a_task([] {
        interruption one{SIGUSR1, SYS_clock_nanosleep};
        timespec length{60, 0};
        timespec rest{};
        EXPECT_EQ(::clock_nanosleep(CLOCK_MONOTONIC, 0, &length, &rest), EINTR);
        EXPECT_GT(rest.tv_sec, 0);
    });
    EXPECT_EQ(signals, 1);
}

TEST_F(SyscallSignals, AReadIsBegunAgainAfterASignalThatWantsThat) {
    installed handler{SIGUSR1, SA_RESTART, false};
    in_a_task([] {
        test::pipe_pair pipe;
        std::thread writer;
        char byte = 0;
        {
            interruption one{SIGUSR1, SYS_read};
            writer = std::thread{[&] {
                while (signals == 0) std::this_thread::yield();
                (void)!::write(pipe.fds[1], "x", 1);
            }};
            EXPECT_EQ(::read(pipe.fds[0], &byte, 1), 1);
        }
        writer.join();
    });
    EXPECT_EQ(signals, 1);
}

TEST_F(SyscallSignals, AHandlerThatHoldsBackAllSignalsMayMakeCalls) {
    installed before{SIGTRAP, 0, true};  // there when the runtime is made
    in_a_task([] {
        test::signal_between_calls();
        EXPECT_EQ(signals, 1);
        {
            installed inside{SIGTRAP, 0, true};
            test::signal_between_calls();
            EXPECT_EQ(signals, 1);
        }
        installed called{SIGUSR1, 0, true};
        ::pthread_kill(::pthread_self(), SIGUSR1);
        EXPECT_EQ(signals, 1);
    });
}

// The kernel ends a process that has SIGSYS blocked when a call is trapped; and a handler that could not make the calls must not get them.
TEST_F(SyscallSignals, ATaskCanNeitherHoldBackNorTakeItsSignal) {
    in_a_task([] {
        sigset_t all;
        sigset_t before;
        sigset_t now;
        ::sigfillset(&all);
        for (int how : {SIG_BLOCK, SIG_SETMASK}) {
            EXPECT_EQ(::pthread_sigmask(how, &all, &before), 0);
            EXPECT_EQ(::pthread_sigmask(how, nullptr, &now), 0);
            EXPECT_EQ(::sigismember(&now, SIGSYS), 0);
            EXPECT_EQ(::sigismember(&now, SIGUSR2), 1);
            EXPECT_EQ(::pthread_sigmask(SIG_SETMASK, &before, nullptr), 0);
        }
        EXPECT_EQ(::syscall(SYS_rt_sigprocmask, SIG_SETMASK, 1, nullptr, 8), -1);
        EXPECT_EQ(errno, EFAULT);
        EXPECT_EQ(::pthread_sigmask(-1, &all, nullptr), EINVAL);
        EXPECT_EQ(::signal(SIGSYS, SIG_DFL), SIG_ERR);
        EXPECT_EQ(errno, EBUSY);
        EXPECT_EQ(::syscall(SYS_rt_sigaction, SIGUSR1, 1, nullptr, 8), -1);
        EXPECT_EQ(errno, EFAULT);
        EXPECT_EQ(::sigaction(SIGUSR2, nullptr, nullptr), 0);
    });
}

TEST_F(SyscallSignals, WhoeverTakesItsSignalLaterKeepsIt) {
    { runtime wants_it{test::with_policy("all=log,stall=off,block=log:syscalls", 1)}; }
    struct sigaction ours{};
    struct sigaction theirs{};
    theirs.sa_handler = [](int) { std::abort(); };
    ASSERT_EQ(::sigaction(SIGSYS, &theirs, &ours), 0);
    {
        runtime rt{test::with_policy("all=log,stall=off,block=log:syscalls", 1)};
        rt.block_on([]() -> task<> {
            EXPECT_GT(::getppid(), 0);
            co_return;
        });
    }
    ASSERT_EQ(::sigaction(SIGSYS, &ours, nullptr), 0);
    in_a_task([] {});
}

/// Between any two instructions: the handler's own, and those at which forks and threads begin.
TEST_F(SyscallSignals, SignalsMayComeAtAnyTime) {
    installed handler{SIGUSR1, SA_RESTART, true};
    in_a_task([] {
        std::atomic<bool> end{false};
        std::thread sender{[&end, worker = ::pthread_self()] {
            while (!end) ::pthread_kill(worker, SIGUSR1);
        }};
        while (signals == 0) std::this_thread::yield();  // they come
        sigset_t all;
        sigset_t before;
        ::sigfillset(&all);
        for (int i = 0; i < 200; ++i) {
            EXPECT_EQ(::syscall(SYS_gettid), ::gettid());
            EXPECT_EQ(::pthread_sigmask(SIG_SETMASK, &all, &before), 0);
            EXPECT_GT(::getppid(), 0);
            EXPECT_EQ(::pthread_sigmask(SIG_SETMASK, &before, nullptr), 0);
            if (i % 20 != 0) continue;
            pid_t child = ::fork();
            if (child == 0) ::_exit(42);
            int status = 0;
            EXPECT_EQ(::waitpid(child, &status, 0), child);
            EXPECT_EQ(WEXITSTATUS(status), 42);
            std::thread{[] {}}.join();
        }
        end = true;
        sender.join();
    });
    EXPECT_GT(signals, 0);
}

TEST_F(SyscallSignals, SignalsThatATaskHoldsBackComeWhenItLetsThem) {
    installed handler{SIGUSR1, 0, false};
    in_a_task([] {
        sigset_t all;
        sigset_t before;
        sigset_t now;
        ::sigfillset(&all);
        EXPECT_EQ(::pthread_sigmask(SIG_SETMASK, &all, &before), 0);
        EXPECT_GT(::getppid(), 0);
        ::pthread_kill(::pthread_self(), SIGUSR1);
        EXPECT_EQ(signals, 0);
        EXPECT_EQ(::pthread_sigmask(SIG_SETMASK, nullptr, &now), 0);
        EXPECT_EQ(::sigismember(&now, SIGUSR1), 1);
        EXPECT_EQ(::pthread_sigmask(SIG_SETMASK, &before, nullptr), 0);
        EXPECT_EQ(signals, 1);
    });
}

TEST_F(SyscallSignals, AnAlternativeStackIsKept) {
    installed handler{SIGUSR1, SA_ONSTACK, false};
    in_a_task([] {
        static std::array<char, 128 * 1024> memory;
        stack_t before{};
        EXPECT_EQ(::sigaltstack(nullptr, &before), 0);
        stack_t mine{};
        mine.ss_sp = memory.data();
        mine.ss_size = memory.size();
        EXPECT_EQ(::sigaltstack(&mine, nullptr), 0);
        ::pthread_kill(::pthread_self(), SIGUSR1);
        EXPECT_EQ(signals, 1);
        stack_t now{};
        EXPECT_EQ(::sigaltstack(&before, &now), 0);
        EXPECT_EQ(now.ss_sp, memory.data());
    });
}

#ifndef BELAY_NO_SYSCALL_TRAPS
TEST_F(SyscallSignals, AHandlerMayHaveAWayBackOfItsOwn) {
    constexpr unsigned long has_restorer = 0x04000000;  // SA_RESTORER
    detail::kernel_sigaction before{};
    detail::kernel_sigaction mine{count_signal, has_restorer, belay_test_way_back, ~0UL};
    signals = 0;
    ASSERT_EQ(detail::kernel_action(SIGTRAP, &mine, &before), 0);
    in_a_task([] {
        sigset_t now;
        volatile double kept = 1.5;
        double in_a_register = kept * 2;
        for (int i = 1; i <= 3; ++i) {
            test::signal_between_calls();
            EXPECT_EQ(signals, i);
        }
        EXPECT_EQ(in_a_register, 3.0);
        EXPECT_EQ(::pthread_sigmask(SIG_SETMASK, nullptr, &now), 0);
        EXPECT_EQ(::sigismember(&now, SIGTRAP), 0);
    });
    detail::kernel_action(SIGTRAP, &before, nullptr);
}
#endif

}  // namespace
}  // namespace belay
