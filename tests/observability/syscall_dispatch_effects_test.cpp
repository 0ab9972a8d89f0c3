// block=log:syscalls: what a task's system calls do is what they do without it. Results, errno, processes and threads; signals are in
// syscall_dispatch_signals_test.cpp.
#include <belay/tests/observability/dispatched_task.hpp>
#include <belay/tests/observability/stuck_thread.hpp>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>

namespace belay {
namespace {

using SyscallEffects = test::dispatched_task;

TEST_F(SyscallEffects, ErrorsAndResultsAreWhatTheyWere) {
    in_a_task([] {
        char byte = 0;
        errno = 0;
        EXPECT_EQ(::read(-1, &byte, 1), -1);
        EXPECT_EQ(errno, EBADF);
        EXPECT_EQ(::open("/no/such/file", O_RDONLY), -1);
        EXPECT_EQ(errno, ENOENT);
        EXPECT_EQ(::syscall(SYS_gettid), ::gettid());
        errno = 42;
        EXPECT_GT(::getppid(), 0);
        EXPECT_EQ(errno, 42);
        EXPECT_EQ(::execl("/no/such/program", "program", nullptr), -1);
        EXPECT_EQ(errno, ENOENT);
    });
}

TEST_F(SyscallEffects, APartialWriteStaysPartial) {
    in_a_task([] {
        test::pipe_pair pipe;
        ::fcntl(pipe.fds[1], F_SETFL, O_NONBLOCK);
        std::string much(1U << 20U, '.');
        auto first = ::write(pipe.fds[1], much.data(), much.size());
        EXPECT_GT(first, 0);
        EXPECT_LT(first, static_cast<ssize_t>(much.size()));
        EXPECT_EQ(::write(pipe.fds[1], much.data(), much.size()), -1);
        EXPECT_EQ(errno, EAGAIN);
    });
}

TEST_F(SyscallEffects, ATaskMayFork) {
    in_a_task([] {
        pid_t child = ::fork();
        if (child == 0) ::_exit(::getppid() > 0 ? 42 : 1);
        int status = 0;
        ASSERT_EQ(::waitpid(child, &status, 0), child);
        EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 42) << status;
    });
}

TEST_F(SyscallEffects, ATaskMayRunPrograms) {
    in_a_task([] {
        int status = std::system("exit 7");
        EXPECT_EQ(WEXITSTATUS(status), 7);
        std::FILE* said = ::popen("echo hello", "r");
        ASSERT_NE(said, nullptr);
        std::array<char, 16> line{};
        EXPECT_NE(std::fgets(line.data(), line.size(), said), nullptr);
        EXPECT_STREQ(line.data(), "hello\n");
        EXPECT_EQ(::pclose(said), 0);
        pid_t child = ::vfork();
        if (child == 0) {
            ::execl("/bin/sh", "sh", "-c", "exit 5", nullptr);
            ::_exit(127);
        }
        ASSERT_EQ(::waitpid(child, &status, 0), child);
        EXPECT_EQ(WEXITSTATUS(status), 5);
    });
}

TEST_F(SyscallEffects, ATaskMayMakeThreads) {
    in_a_task([] {
        std::atomic<int> ran{0};
        for (int i = 0; i < 20; ++i) {
            std::thread one{[&] {
                ::getppid();
                ++ran;
            }};
            std::thread other{[&] { ++ran; }};
            one.join();
            other.join();
        }
        EXPECT_EQ(ran, 40);
        EXPECT_EQ(::syscall(SYS_clone3, nullptr, 0), -1);
    });
}

}  // namespace
}  // namespace belay
