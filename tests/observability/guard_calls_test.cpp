// belay::guard, which this program is linked with: a task that calls a function that puts its worker to sleep is reported with the
// function and where it was called; one that calls the same function and is not put to sleep is not.
#include <belay/io/signal_set.hpp>
#include <belay/observability/guardrails.hpp>
#include <belay/observability/impl/syscall_dispatch.hpp>
#include <belay/runtime/block_in_place.hpp>
#include <belay/runtime/blocking.hpp>
#include <belay/runtime/local_runtime.hpp>
#include <belay/runtime/simulation.hpp>
#include <belay/runtime/yield.hpp>
#include <belay/tests/observability/blocking_calls.hpp>
#include <belay/tests/observability/stuck_thread.hpp>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <fstream>
#include <future>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace belay {
namespace {

using namespace std::chrono_literals;
using test::text_of;
using test::with_policy;

/// No call is too short to be looked at.
template <class F>
std::vector<report> reports_of(F work, const char* policy = "all=log,stall=off,block=log:1ns") {
    return test::blocking_calls_of(work, policy);
}
template <class F>
std::string functions(F work, const char* policy = "all=log,stall=off,block=log:1ns") {
    return test::names_of(reports_of(work, policy));
}

/// The same of a call that waits for a time. One that is preempted between setting its timer and going to sleep may find that the
/// time has passed, and never sleeps: then nothing is named, rightly, and it is made again.
template <class F>
std::string functions_of_a_wait(F work) {
    std::string found;
    while (found.empty()) found = functions(work);
    return found;
}

/// Calls `then` on a thread of its own, once the thread that made this sleeps in the system call `number`.
class when_asleep {
public:
    template <class F>
    when_asleep(long number, F then)
        : thread_{[this, number, then] {
              made_.wait(false);  // ThreadSanitizer sleeps until a new thread runs
              for (;;) {
                  auto call = detail::read_syscall(tid_);
                  if (call.asleep && call.number == number) break;
                  std::this_thread::yield();
              }
              then();
          }} {
        made_ = true;
        made_.notify_one();
    }
    when_asleep(const when_asleep&) = delete;
    when_asleep& operator=(const when_asleep&) = delete;
    ~when_asleep() { thread_.join(); }

private:
    int tid_ = static_cast<int>(::syscall(SYS_gettid));
    std::atomic<bool> made_{false};
    std::thread thread_;
};

struct socket_pair {
    std::array<int, 2> fds{-1, -1};
    explicit socket_pair(int flags = 0) {
        if (::socketpair(AF_UNIX, SOCK_STREAM | flags, 0, fds.data()) != 0) ::abort();
    }
    socket_pair(const socket_pair&) = delete;
    socket_pair& operator=(const socket_pair&) = delete;
    ~socket_pair() {
        ::close(fds[0]);
        ::close(fds[1]);
    }
};

TEST(GuardCalls, CallsThatSleepForATimeAreNamed) {
    timespec length{0, 2'000'000};
    EXPECT_EQ(functions_of_a_wait([&] { ::nanosleep(&length, nullptr); }), "nanosleep");
    EXPECT_EQ(functions_of_a_wait([&] { ::clock_nanosleep(CLOCK_MONOTONIC, 0, &length, nullptr); }), "clock_nanosleep");
    EXPECT_EQ(functions_of_a_wait([] { ::usleep(2000); }), "usleep");
    EXPECT_EQ(functions_of_a_wait([&] { ::thrd_sleep(&length, nullptr); }), "thrd_sleep");
    EXPECT_NE(functions_of_a_wait([] { std::this_thread::sleep_for(2ms); }), "");  // nanosleep or clock_nanosleep
    EXPECT_EQ(functions_of_a_wait([] { ::poll(nullptr, 0, 2); }), "poll");
    EXPECT_EQ(functions_of_a_wait([&] { ::ppoll(nullptr, 0, &length, nullptr); }), "ppoll");
    EXPECT_EQ(functions_of_a_wait([] {
                  timeval tv{0, 2000};
                  ::select(0, nullptr, nullptr, nullptr, &tv);
              }),
              "select");
    EXPECT_EQ(functions_of_a_wait([&] { ::pselect(0, nullptr, nullptr, nullptr, &length, nullptr); }), "pselect");
    EXPECT_EQ(functions_of_a_wait([] {
                  int fd = ::epoll_create1(EPOLL_CLOEXEC);
                  epoll_event event{};
                  ::epoll_wait(fd, &event, 1, 2);
                  ::close(fd);
              }),
              "epoll_wait");
}

TEST(GuardCalls, CallsThatWaitForAnotherThreadAreNamed) {
    std::mutex m;
    std::condition_variable never;
    EXPECT_NE(functions_of_a_wait([&] {
                  std::unique_lock lock{m};
                  never.wait_for(lock, 2ms);
              }).find("pthread_cond_"),
              std::string::npos);
    EXPECT_NE(functions_of_a_wait([] {
                  std::promise<int> promise;
                  (void)promise.get_future().wait_for(2ms);
              }),
              "");  // a futex or a condition variable, as the standard library likes it
    EXPECT_EQ(functions([] {
                  sem_t s{};
                  ::sem_init(&s, 0, 0);
                  when_asleep post{SYS_futex, [&] { ::sem_post(&s); }};
                  ::sem_wait(&s);
              }).substr(0, 8),
              "sem_wait");  // and the join of the thread that posted, if that slept
    EXPECT_EQ(functions([] {
                  std::atomic<int> word{0};
                  when_asleep change{SYS_futex, [&] {
                                         word.store(1);
                                         word.notify_all();
                                     }};
                  word.wait(0);
              }).substr(0, 5),
              "futex");
    EXPECT_EQ(functions([] {
                  auto self = static_cast<int>(::syscall(SYS_gettid));
                  std::atomic<bool> made{false};
                  std::thread other{[&] {
                      made.wait(false);
                      while (detail::read_syscall(self).number != SYS_futex) std::this_thread::yield();
                  }};
                  made = true;
                  made.notify_one();
                  other.join();
              }),
              "pthread_join");
    EXPECT_NE(functions_of_a_wait([] { (void)!::system("sleep 0.01"); }).find("system"), std::string::npos);
    EXPECT_NE(functions_of_a_wait([] { ::pclose(::popen("sleep 0.01", "r")); }).find("pclose"), std::string::npos);
    EXPECT_NE(functions_of_a_wait([] {
                  cnd_t changed{};
                  mtx_t mutex{};
                  ::cnd_init(&changed);
                  ::mtx_init(&mutex, mtx_plain);
                  ::mtx_lock(&mutex);
                  timespec soon{};
                  ::timespec_get(&soon, TIME_UTC);
                  soon.tv_nsec = std::min<long>(soon.tv_nsec + 2'000'000, 999'999'999);
                  ::cnd_timedwait(&changed, &mutex, &soon);
                  ::mtx_unlock(&mutex);
              }).find("cnd_timedwait"),
              std::string::npos);
    EXPECT_EQ(functions_of_a_wait([] {
                  int set = ::semget(IPC_PRIVATE, 1, 0600);
                  sembuf take{0, -1, 0};
                  timespec limit{0, 2'000'000};
                  ::semtimedop(set, &take, 1, &limit);
                  ::semctl(set, 0, IPC_RMID);
              }),
              "semtimedop");
}

TEST(GuardCalls, AJoinOfAThreadOfCIsNamed) {
    if (test::intercepted_calls) GTEST_SKIP() << "ThreadSanitizer does not know such threads";
    EXPECT_NE(functions_of_a_wait([] {
                  thrd_t other{};
                  auto sleeps = [](void*) {
                      std::this_thread::sleep_for(2ms);
                      return 0;
                  };
                  if (::thrd_create(&other, sleeps, nullptr) == thrd_success) ::thrd_join(other, nullptr);
              }).find("thrd_join"),
              std::string::npos);
}

// Strictly: where the host has too few CPUs, and tests run beside this one, waiting for a lock says nothing.
TEST(GuardCalls, ALockThatHasToBeWaitedForIsNamed) {
    std::mutex m;
    EXPECT_EQ(functions(
                  [&] {
                      std::atomic<bool> held{false};
                      auto self = static_cast<int>(::syscall(SYS_gettid));
                      std::thread other{[&] {
                          std::scoped_lock lock{m};
                          held = true;
                          for (;;) {
                              auto call = detail::read_syscall(self);
                              if (call.asleep && call.number == SYS_futex) return;
                              std::this_thread::yield();
                          }
                      }};
                      while (!held) std::this_thread::yield();
                      { std::scoped_lock lock{m}; }
                      other.join();
                  },
                  "all=log,stall=off,block=log:any")
                  .substr(0, 18),
              "pthread_mutex_lock");
}

TEST(GuardCalls, CallsThatWaitForADescriptorAreNamedWithIt) {
    test::pipe_pair pipe;
    auto reports = reports_of([&] {
        when_asleep write{SYS_read, [&] { (void)!::write(pipe.fds[1], "x", 1); }};
        test::read_in_a_named_function(pipe.fds[0]);
    });
    ASSERT_FALSE(reports.empty());
    EXPECT_NE(reports[0].facts.at(0).text.find("read(fd=" + std::to_string(pipe.fds[0]) + " -> pipe:"), std::string::npos)
        << reports[0].to_text();
    EXPECT_NE(reports[0].to_text().find("read_in_a_named_function"), std::string::npos) << reports[0].to_text();
    socket_pair pair;
    EXPECT_EQ(functions([&] {
                  char byte = 0;
                  when_asleep write{SYS_recvfrom, [&] { (void)!::write(pair.fds[1], "x", 1); }};
                  (void)!::recv(pair.fds[0], &byte, 1, 0);
              }).substr(0, 4),
              "recv");
}

TEST(GuardCalls, AFileThatHasToBeWaitedForIsNamed) {
    std::string name = ::testing::TempDir() + "guard_calls_" + std::to_string(::getpid());
    int first = ::open(name.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    int second = ::open(name.c_str(), O_RDWR | O_CLOEXEC);
    ASSERT_GE(first, 0);
    ASSERT_GE(second, 0);
    ASSERT_EQ(::flock(first, LOCK_EX), 0);
    EXPECT_EQ(functions([&] {
                  when_asleep unlock{SYS_flock, [&] { ::flock(first, LOCK_UN); }};
                  ::flock(second, LOCK_EX);
              }).substr(0, 5),
              "flock");
    ::close(first);
    ::close(second);
    ::unlink(name.c_str());
    ASSERT_EQ(::mkfifo(name.c_str(), 0600), 0);
    EXPECT_EQ(functions([&] {
                  int writer = -1;
                  int reader = -1;
                  {
                      when_asleep open{SYS_openat, [&] { writer = ::open(name.c_str(), O_WRONLY | O_CLOEXEC); }};
                      reader = ::open(name.c_str(), O_RDONLY | O_CLOEXEC);
                  }
                  ::close(reader);
                  ::close(writer);
              }).substr(0, 4),
              "open");
    ::unlink(name.c_str());
}

[[gnu::noinline]] void sleep_in_a_named_function() {
    ::usleep(2000);
    asm volatile("" ::: "memory");
}

TEST(GuardCalls, TheReportNamesTheCallerAndTheTask) {
    test::captured_reports captured;
    auto spawned = std::source_location::current().line() + 3;
    {
        runtime rt{with_policy("all=log,stall=off,block=log:1ms", 1)};
        rt.block_on([]() -> task<> {
            this_task::set_name("sleeper");
            sleep_in_a_named_function();
            co_return;
        });
    }
    auto text = text_of(captured, guardrail::blocking_call);
    EXPECT_NE(text.find("\"sleeper\" called usleep(), which put the worker to sleep"), std::string::npos) << text;
    EXPECT_NE(text.find("(limit 1.0 ms)"), std::string::npos) << text;
    EXPECT_NE(text.find("sleep_in_a_named_function"), std::string::npos) << text;
    EXPECT_NE(text.find(test::place(spawned)), std::string::npos) << text;
    EXPECT_NE(text.find("co_await belay::sleep_for"), std::string::npos) << text;
}

/// A sink that takes a lock, which is the one that the task holds in the call.
class locking_sink final : public guardrails::report_sink {
public:
    explicit locking_sink(std::mutex& m) : mutex_{m} {}
    void write(const report& r) noexcept override {
        std::scoped_lock lock{mutex_};
        if (r.kind == guardrail::blocking_call) ++seen;
    }
    std::atomic<int> seen{0};

private:
    std::mutex& mutex_;
};

TEST(GuardCalls, AReportNeedsNoLockThatTheCallIsMadeUnder) {
    std::mutex m;
    auto sink = std::make_shared<locking_sink>(m);
    auto before = guardrails::set_sink(sink);
    {
        runtime rt{with_policy("all=log,stall=off,block=log:1ns", 1)};
        rt.block_on([&]() -> task<> {
            std::scoped_lock lock{m};
            ::usleep(2000);
            co_return;
        });
    }
    guardrails::set_sink(before);
    EXPECT_EQ(sink->seen, 1);
}

TEST(GuardCalls, TasksOfALocalRuntimeAreSeenToo) {
    test::captured_reports captured;
    for (int i = 0; i < 2; ++i) {
        local_runtime rt{{.name = "local", .guardrails = "all=log,stall=off,block=log:1ns"}};
        rt.spawn([]() -> task<> {
            sleep_in_a_named_function();
            co_return;
        });
        rt.run_for(0s);
        rt.shutdown(60s);
        ::usleep(2000);  // the host's own
    }
    auto reports = captured.sink->of(guardrail::blocking_call);
    ASSERT_EQ(reports.size(), 1U) << "the second one is at the same place";
    EXPECT_NE(reports[0].to_text().find("sleep_in_a_named_function"), std::string::npos) << reports[0].to_text();
}

TEST(GuardCalls, WhatATaskHasCalledIsItsOwnAlsoWhenItDrivesAnotherRuntime) {
    const char* any = "all=log,stall=off,block=log:any";
    local_runtime inner{{.name = "local", .guardrails = any}};
    EXPECT_EQ(functions(
                  [&] {
                      char byte = 0;
                      (void)!::read(-1, &byte, 1);
                      inner.spawn([]() -> task<> {
                          ::poll(nullptr, 0, 0);
                          co_return;
                      });
                      inner.poll();
                  },
                  any),
              "poll read");
    inner.shutdown(60s);
}

// ---- silent ----------------------------------------------------------------------------------------------------

struct quick_call {
    const char* name;
    void (*make)();
};
/// Each could sleep, and does not.
constexpr quick_call quick_calls[] = {
    {"open", [] { ::close(::open("/dev/null", O_RDWR | O_CLOEXEC)); }},
    {"write",
     [] {
         test::pipe_pair pipe;
         (void)!::write(pipe.fds[1], "x", 1);
     }},
    {"read",
     [] {
         char byte = 0;
         EXPECT_EQ(::read(-1, &byte, 1), -1);
         EXPECT_EQ(errno, EBADF);
     }},
    {"pread",
     [] {
         char byte = 0;
         EXPECT_EQ(::pread(-1, &byte, 1, 0), -1);
     }},
    {"recv",
     [] {
         socket_pair pair{SOCK_NONBLOCK};
         char byte = 0;
         EXPECT_EQ(::recv(pair.fds[0], &byte, 1, 0), -1);
         EXPECT_EQ(errno, EAGAIN);
     }},
    {"poll",
     [] {
         socket_pair pair;
         pollfd ready{pair.fds[0], POLLOUT, 0};
         EXPECT_EQ(::poll(&ready, 1, -1), 1);
     }},
    {"poll", [] { EXPECT_EQ(::poll(nullptr, 0, 0), 0); }},
    {"sem_wait",
     [] {
         sem_t s{};
         ::sem_init(&s, 0, 1);
         EXPECT_EQ(::sem_wait(&s), 0);
     }},
    {"waitpid", [] { EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1); }},
    {"clock_nanosleep",
     [] {
         timespec past{};
         EXPECT_EQ(::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &past, nullptr), 0);
     }},
};

TEST(GuardCalls, WhatDoesNotSleepIsSilent) {
    for (const auto& call : quick_calls) EXPECT_EQ(functions(call.make), "") << call.name;
    auto use_what_is_there = [] {
        std::mutex m;
        { std::scoped_lock lock{m}; }
        std::promise<int> promise;
        promise.set_value(1);
        EXPECT_EQ(promise.get_future().get(), 1);
        std::ifstream file{"/proc/self/exe"};
        EXPECT_EQ(file.get(), 0x7f);
    };
    // The kernel may have to fetch the file: then read() does sleep, and that is named.
    std::string found = "not called";
    for (int i = 0; i < 10 && !found.empty(); ++i) found = functions(use_what_is_there);
    EXPECT_EQ(found, "");
}

TEST(GuardCalls, StrictlyEveryCallIsNamed) {
    for (const auto& call : quick_calls) {
        auto reports = reports_of(call.make, "all=log,stall=off,block=log:any");
        ASSERT_FALSE(reports.empty()) << call.name;
        EXPECT_TRUE(reports[0].facts.at(0).text.starts_with(std::string{call.name} + "(")) << reports[0].to_text();
        EXPECT_NE(reports[0].what.find("which may put the worker to sleep (every call is reported)"), std::string::npos)
            << reports[0].what;
    }
}

// The function of the C library is what one wants to read; what it asks the kernel for is part of it.
TEST(GuardCalls, ACallThatIsAlsoSeenAsASystemCallIsNamedOnce) {
    if (const char* why = detail::syscall_dispatch::missing()) GTEST_SKIP() << why;
    const char* every_syscall = "all=log,stall=off,block=log:syscalls";
    EXPECT_EQ(functions([] { ::usleep(2000); }, every_syscall), "usleep");
    EXPECT_EQ(functions([] { (void)!::system("true"); }, every_syscall), "system");
    EXPECT_EQ(functions(
                  [] {
                      char byte = 0;
                      ::usleep(2000);
                      ::syscall(SYS_read, -1, &byte, 1);  // the guard looks at futexes only
                      ::poll(nullptr, 0, 0);
                  },
                  every_syscall),
              "usleep read poll");
}

TEST(GuardCalls, WhatIsAllowedIsSilent) {
    EXPECT_EQ(functions([] {
                  guardrails::allow why{"a test"};
                  ::usleep(2000);
              }),
              "");
    EXPECT_EQ(functions([] { block_in_place([] { ::usleep(2000); }); }), "");
    EXPECT_EQ(functions([] { ::usleep(2000); }, "all=log,stall=off,block=off"), "");
}

TEST(GuardCalls, WhatBlocksInPlaceIsSilentInASimulationToo) {
    test::captured_reports captured;
    simulation sim{{.guardrails = "all=log,stall=off,block=log:any"}};
    sim.block_on([]() -> task<> {
        block_in_place([] { ::poll(nullptr, 0, 0); });
        co_return;
    });
    EXPECT_EQ(captured.sink->written(), 0U);
}

TEST(GuardCalls, HowASignalReachesASignalSetIsSilent) {
    io::signal_set signals{SIGUSR1};
    EXPECT_EQ(functions([] { ::raise(SIGUSR1); }, "all=log,stall=off,block=log:any"), "");
}

TEST(GuardCalls, ShorterThanTheThresholdIsSilent) {
    EXPECT_EQ(functions([] { ::usleep(100); }, "all=log,stall=off,block=log:3600s"), "");
}

TEST(GuardCalls, WhatNoTaskCallsIsSilent) {
    test::captured_reports captured;
    {
        runtime rt{with_policy("all=log,stall=off,block=log:1ns", 1)};
        ::usleep(2000);
        rt.block_on([]() -> task<> {
            co_await spawn_blocking([] { ::usleep(2000); });  // meanwhile the worker sleeps, and not in a task
        });
    }
    EXPECT_EQ(captured.sink->written(), 0U);
}

TEST(GuardCalls, ErrnoAndResultsAreWhatTheyWere) {
    test::captured_reports captured;
    runtime rt{with_policy("all=log,stall=off,block=log:any", 1)};
    rt.block_on([]() -> task<> {
        char byte = 0;
        EXPECT_EQ(::read(-1, &byte, 1), -1);
        EXPECT_EQ(errno, EBADF);
        errno = 0;
        EXPECT_EQ(::open("/no/such/file", O_RDONLY), -1);
        EXPECT_EQ(errno, ENOENT);
        EXPECT_EQ(::syscall(SYS_gettid), ::gettid());
        co_return;
    });
}

}  // namespace
}  // namespace belay
