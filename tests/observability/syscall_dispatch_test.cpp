// block=log:syscalls, without belay::guard: a system call that a task makes is reported where it is made, whatever it goes through, and
// does what it did before.
#include <belay/io/pipe.hpp>
#include <belay/observability/guardrails.hpp>
#include <belay/runtime/block_in_place.hpp>
#include <belay/runtime/blocking.hpp>
#include <belay/runtime/local_runtime.hpp>
#include <belay/runtime/scope.hpp>
#include <belay/runtime/simulation.hpp>
#include <belay/runtime/sleep.hpp>
#include <belay/runtime/yield.hpp>
#include <belay/tests/observability/blocking_calls.hpp>
#include <belay/tests/observability/dispatched_task.hpp>
#include <belay/tests/observability/guarded_runtime.hpp>
#include <belay/tests/observability/stuck_thread.hpp>

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <linux/futex.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

namespace belay {
namespace {

using namespace std::chrono_literals;
using test::every_syscall;
using test::with_policy;

class SyscallDispatch : public test::dispatched_task {
protected:
    template <class F>
    static std::vector<report> reports_of(F work, const char* policy = every_syscall) {
        return test::blocking_calls_of(work, policy);
    }
    template <class F>
    static std::string calls(F work, const char* policy = every_syscall) {
        return test::names_of(reports_of(work, policy));
    }
};

long raw_call(long number, long a = 0, long b = 0, long c = 0) {
    long result = 0;
#if defined(__x86_64__)
    asm volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
#else
    result = ::syscall(number, a, b, c);
#endif
    return result;
}

[[gnu::noinline]] void read_without_the_c_library(int fd) {
    char byte = 0;
    raw_call(SYS_read, fd, reinterpret_cast<long>(&byte), 1);
    asm volatile("" ::: "memory");
}
[[gnu::noinline]] void sleep_without_the_c_library() {
    timespec length{0, 2'000'000};
    raw_call(SYS_nanosleep, reinterpret_cast<long>(&length));
    asm volatile("" ::: "memory");
}

int this_thread_id() { return static_cast<int>(::syscall(SYS_gettid)); }
void wait_until_in(long number, int tid) {
    for (;;) {
        auto call = detail::read_syscall(tid);
        if (call.asleep && call.number == number) return;
        std::this_thread::yield();
    }
}

[[gnu::noinline]] void print_in_a_named_function(std::FILE* to) {
    std::fputs("hello", to);
    std::fflush(to);
    asm volatile("" ::: "memory");
}

TEST_F(SyscallDispatch, ACallOfInlineAssemblerIsFoundInItsFunction) {
    test::pipe_pair pipe;
    std::thread writer;
    auto reports = reports_of([&] {
        writer = std::thread{[&, self = this_thread_id()] {
            wait_until_in(SYS_read, self);
            (void)!::write(pipe.fds[1], "x", 1);
        }};
        read_without_the_c_library(pipe.fds[0]);
    });
    writer.join();
    ASSERT_EQ(reports.size(), 1U);
    EXPECT_TRUE(reports[0].facts.at(0).text.starts_with("read(fd=")) << reports[0].to_text();
    EXPECT_NE(reports[0].what.find("called read("), std::string::npos) << reports[0].what;
    EXPECT_NE(reports[0].what.find("), which put the worker to sleep"), std::string::npos) << reports[0].what;
    EXPECT_NE(reports[0].what.find("(every call is reported)"), std::string::npos) << reports[0].what;
    EXPECT_NE(reports[0].to_text().find("read_without_the_c_library"), std::string::npos) << reports[0].to_text();
    EXPECT_NE(reports[0].to_text().find("co_await belay::spawn_blocking"), std::string::npos) << reports[0].to_text();
}

TEST_F(SyscallDispatch, AStallInACallIsFoundWhereTheTaskHasMadeIt) {
    test::pipe_pair pipe;
    test::captured_reports captured;
    runtime rt{with_policy("all=log,stall=log:1ms,block=log:syscalls", 1)};
    std::thread writer{[&] {
        test::wait_for_reports(*captured.sink, 1);
        (void)!::write(pipe.fds[1], "x", 1);
    }};
    rt.block_on([&]() -> task<> {
        read_without_the_c_library(pipe.fds[0]);
        co_return;
    });
    writer.join();
    auto text = test::text_of(captured, guardrail::blocked_worker);
    EXPECT_NE(text.find("read(fd="), std::string::npos) << text;
    EXPECT_NE(text.find("read_without_the_c_library"), std::string::npos) << text;
    EXPECT_EQ(text.find("perform_syscall"), std::string::npos) << text;
}

TEST_F(SyscallDispatch, ACallInsideOfTheCLibraryIsFoundWithWhatWasCalled) {
    test::pipe_pair pipe;
    std::unique_ptr<std::FILE, int (*)(std::FILE*)> file{::fdopen(::dup(pipe.fds[1]), "w"), &std::fclose};
    auto reports = reports_of([&] { print_in_a_named_function(file.get()); });
    ASSERT_EQ(reports.size(), 1U);
    EXPECT_TRUE(reports[0].facts.at(0).text.starts_with("write(fd=")) << reports[0].to_text();
    EXPECT_NE(reports[0].facts.at(0).text.find("-> pipe:"), std::string::npos) << reports[0].to_text();
    EXPECT_NE(reports[0].to_text().find("fflush"), std::string::npos) << reports[0].to_text();
    EXPECT_NE(reports[0].to_text().find("print_in_a_named_function"), std::string::npos) << reports[0].to_text();
}

TEST_F(SyscallDispatch, ALockThatHasToBeWaitedForIsFound) {
    std::mutex m;
    std::thread other;
    EXPECT_EQ(calls([&] {
                  std::atomic<bool> held{false};
                  other = std::thread{[&, self = this_thread_id()] {
                      std::scoped_lock lock{m};
                      held = true;
                      wait_until_in(SYS_futex, self);
                  }};
                  while (!held) std::this_thread::yield();
                  std::scoped_lock lock{m};
              }),
              "futex");
    other.join();
}

TEST_F(SyscallDispatch, AThreadThatATaskMakesIsLeftAloneAndTheWaitForItIsNot) {
    auto reports = reports_of([] {
        std::thread other{[self = this_thread_id()] {
            sleep_without_the_c_library();
            wait_until_in(SYS_futex, self);
        }};
        other.join();
    });
    ASSERT_EQ(reports.size(), 1U);
    EXPECT_EQ(reports[0].facts.at(0).text, "futex()");
    EXPECT_EQ(reports[0].to_text().find("sleep_without_the_c_library"), std::string::npos) << reports[0].to_text();
}

TEST_F(SyscallDispatch, TasksOfALocalRuntimeAreSeenAndItsHostIsNot) {
    test::captured_reports captured;
    local_runtime rt{{.name = "local", .guardrails = every_syscall}};
    rt.spawn([]() -> task<> {
        sleep_without_the_c_library();
        co_return;
    });
    rt.run_for(0s);
    sleep_without_the_c_library();
    rt.shutdown(60s);
    EXPECT_EQ(captured.sink->of(guardrail::blocking_call).size(), 1U);
}

TEST_F(SyscallDispatch, WhatATaskHasCalledIsItsOwnAlsoWhenItDrivesAnotherRuntime) {
    local_runtime inner{{.name = "local", .guardrails = every_syscall}};
    EXPECT_EQ(calls([&] {
                  read_without_the_c_library(-1);
                  inner.spawn([]() -> task<> {
                      sleep_without_the_c_library();
                      co_return;
                  });
                  inner.poll();
              }),
              "nanosleep read");
    inner.shutdown(60s);
}

TEST_F(SyscallDispatch, TasksOfASimulationAreSeen) {
    test::captured_reports captured;
    simulation sim{{.guardrails = every_syscall}};
    sim.block_on([]() -> task<> {
        read_without_the_c_library(-1);
        block_in_place(sleep_without_the_c_library);
        co_return;
    });
    read_without_the_c_library(-1);
    auto reports = captured.sink->of(guardrail::blocking_call);
    ASSERT_EQ(reports.size(), 1U);
    EXPECT_TRUE(reports[0].facts.at(0).text.starts_with("read(")) << reports[0].to_text();
}

// ---- silent ----------------------------------------------------------------------------------------------------

TEST_F(SyscallDispatch, WhatDoesNotSleepIsSilent) {
    EXPECT_EQ(calls([] {
                  EXPECT_EQ(raw_call(SYS_getpid), ::getpid());
                  timespec now{};
                  ::clock_gettime(CLOCK_MONOTONIC, &now);
                  ::sched_yield();
                  void* page = ::mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
                  EXPECT_NE(page, MAP_FAILED);
                  ::munmap(page, 4096);
                  int word = 0;
                  ::syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
              }),
              "");
}

TEST_F(SyscallDispatch, AnAllocatorIsSilent) {
    test::captured_reports captured;
    {
        // Freed by whichever worker runs the task then: in the allocators that give each thread an arena, they wait for each other.
        runtime rt{with_policy(every_syscall, 4)};
        rt.block_on(with_scope([](scope& s) -> task<> {
            for (int i = 0; i < 64; ++i)
                s.spawn([]() -> task<> {
                    for (int round = 0; round < 20; ++round) {
                        std::vector<std::unique_ptr<char[]>> blocks;
                        for (std::size_t size = 16; size < 300'000; size += size / 2)
                            blocks.push_back(std::make_unique<char[]>(size));
                        co_await yield();
                    }
                });
            co_return;
        }));
    }
    EXPECT_EQ(captured.sink->written(), 0U) << test::text_of(captured, guardrail::blocking_call);
}

TEST_F(SyscallDispatch, WhatBelayDoesForTasksIsSilent) {
    test::captured_reports captured;
    {
        runtime rt{with_policy(every_syscall, 2)};
        rt.block_on(with_scope([](scope& s) -> task<> {
            auto [reader, writer] = io::make_pipe();
            for (int i = 0; i < 100; ++i) {
                s.spawn([]() -> task<> { co_await sleep_for(1ms); });  // wakes the other worker, and its timers
                co_await spawn_blocking(sleep_without_the_c_library);
            }
            co_await writer.write_all("12345678");
            std::array<char, 8> text{};
            co_await reader.read_exact(std::as_writable_bytes(std::span{text}));
        }));
    }
    EXPECT_EQ(captured.sink->written(), 0U) << test::text_of(captured, guardrail::blocking_call);
}

// It opens the thread's cache of frames, for which the C library takes a lock of its loader.
TEST_F(SyscallDispatch, TheFirstFrameOfAWorkerIsSilent) {
    test::captured_reports captured;
    std::atomic<bool> over{false};
    std::thread keeps_the_loader_busy{[&] {
        Dl_info found{};
        while (!over) ::dladdr(reinterpret_cast<const void*>(&sleep_without_the_c_library), &found);
    }};
    for (int i = 0; i < 50; ++i) {
        runtime rt{with_policy(every_syscall, 1)};
        rt.block_on(with_scope([](scope& s) -> task<> {
            s.spawn([]() -> task<> { co_return; });
            co_return;
        }));
    }
    over = true;
    keeps_the_loader_busy.join();
    EXPECT_EQ(captured.sink->written(), 0U) << test::text_of(captured, guardrail::blocking_call);
}

// As belay::guard does it for a task at its first call of each function.
TEST_F(SyscallDispatch, TheLookUpOfANameIsSilent) {
    std::atomic<bool> over{false};
    std::thread looks_up_names{[&] {
        while (!over) (void)::dlsym(RTLD_DEFAULT, "no_function_of_this_name");
    }};
    EXPECT_EQ(calls([] {
                  for (int i = 0; i < 1000; ++i) (void)::dlsym(RTLD_DEFAULT, "another_one");
              }),
              "");
    over = true;
    looks_up_names.join();
}

TEST_F(SyscallDispatch, WhatIsAllowedIsSilent) {
    EXPECT_EQ(calls([] {
                  guardrails::allow why{"a test"};
                  sleep_without_the_c_library();
              }),
              "");
    EXPECT_EQ(calls([] { block_in_place(sleep_without_the_c_library); }), "");
    EXPECT_EQ(calls(sleep_without_the_c_library, "all=log,stall=off,block=off"), "");
}

TEST_F(SyscallDispatch, RuntimesThatDoNotWantItAreSilent) {
    runtime wants_it{with_policy(every_syscall, 1)};
    EXPECT_EQ(calls(sleep_without_the_c_library, "all=log,stall=off,block=log:any"), "");
}

// Such a stack may be too small for more than the call.
TEST_F(SyscallDispatch, HandlersOnAnAlternativeStackAreSilent) {
    static std::array<char, 16 * 1024> memory;
    static bool made;
    struct sigaction action{};
    struct sigaction before{};
    action.sa_handler = [](int) { made = raw_call(SYS_read, -1) == -EBADF; };
    action.sa_flags = SA_ONSTACK;
    ASSERT_EQ(::sigaction(SIGTRAP, &action, &before), 0);
    EXPECT_EQ(calls([] {
                  stack_t outer{};
                  stack_t mine{};
                  mine.ss_sp = memory.data();
                  mine.ss_size = memory.size();
                  EXPECT_EQ(::sigaltstack(&mine, &outer), 0);
                  test::signal_between_calls();
                  EXPECT_EQ(::sigaltstack(&outer, nullptr), 0);
              }),
              "");
    EXPECT_TRUE(made);
    ::sigaction(SIGTRAP, &before, nullptr);
}

TEST_F(SyscallDispatch, TheSelfTestNamesIt) {
    runtime wants_it{with_policy(every_syscall, 1)};
    EXPECT_NE(guardrails::self_test().find("the system calls of tasks (block=log:syscalls)"), std::string::npos);
    EXPECT_EQ(guardrails::self_test().find("Syscall User Dispatch"), std::string::npos) << guardrails::self_test();
}

}  // namespace
}  // namespace belay
