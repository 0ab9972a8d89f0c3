// The current-thread flavour: who drives it, what it says to poll(2), how it ends. Promises 9 and 10. I/O: io/local_io_test.cpp.
#include <belay/runtime/local_runtime.hpp>

#include <belay/runtime/blocking.hpp>
#include <belay/runtime/detail/core.hpp>
#include <belay/runtime/runtime.hpp>
#include <belay/runtime/shield.hpp>
#include <belay/runtime/sleep.hpp>
#include <belay/runtime/this_task.hpp>
#include <belay/runtime/when_all.hpp>
#include <belay/sync/channel.hpp>
#include <belay/sync/sync_mutex.hpp>
#include <belay/tests/observability/capture_sink.hpp>
#include <belay/tests/runtime/local_kit.hpp>
#include <belay/tests/runtime/support.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <latch>
#include <stdexcept>

namespace belay {
namespace {

using namespace test;

class LocalRuntime : public Suite {};

// ---- run_until ---------------------------------------------------------------------------------------------------

TEST_F(LocalRuntime, RunUntilReturnsTheValueOfTheTask) {
    local_runtime rt{local_options()};
    EXPECT_EQ(rt.run_until([]() -> task<int> { co_return 7; }), 7);
    EXPECT_EQ(rt.block_on([]() -> task<std::string> { co_return "seven"; }), "seven");
    rt.run_until([]() -> task<> { co_return; }());
}

TEST_F(LocalRuntime, RunUntilRethrowsTheErrorOfTheTask) {
    local_runtime rt{local_options()};
    EXPECT_THROW(rt.run_until([]() -> task<> {
        co_await yield();
        throw std::runtime_error("mine");
    }),
                 std::runtime_error);
}

TEST_F(LocalRuntime, EveryTaskRunsOnTheThreadThatDrives) {
    local_runtime rt{local_options()};
    auto here = std::this_thread::get_id();
    std::vector<std::thread::id> seen;
    rt.spawn([&]() -> task<> {
        seen.push_back(std::this_thread::get_id());
        co_await sleep_for(1ms);
        seen.push_back(std::this_thread::get_id());
        co_await spawn_blocking([] {});
        seen.push_back(std::this_thread::get_id());
    });
    rt.run_until([&]() -> task<> { co_await until([&] { return seen.size() == 3; }); });
    EXPECT_EQ(seen, std::vector(3, here));
}

TEST_F(LocalRuntime, NothingRunsUnlessItIsDriven) {
    local_runtime rt{local_options()};
    bool ran = false;
    rt.spawn([&]() -> task<> {
        ran = true;
        co_return;
    });
    EXPECT_TRUE(readable(rt));
    EXPECT_FALSE(ran);
    rt.poll();
    EXPECT_TRUE(ran);
}

TEST_F(LocalRuntime, OtherTasksStayWhereTheyAreUntilItIsDrivenAgain) {
    int turns = 0;  // outlives the tasks
    local_runtime rt{local_options()};
    rt.spawn([&]() -> task<> {
        for (;;) {
            ++turns;
            co_await yield();
        }
    });
    rt.run_until([&]() -> task<> { co_await until([&] { return turns > 10; }); });
    int before = turns;
    rt.run_until([&]() -> task<> { co_await until([&] { return turns > before; }); });
}

TEST_F(LocalRuntime, RunForEndsAfterTheTimeAlthoughTasksWait) {
    local_runtime rt{local_options()};
    bool slept = false;
    rt.spawn(never);
    rt.spawn([&]() -> task<> {
        co_await sleep_for(1ms);
        slept = true;
    });
    auto began = std::chrono::steady_clock::now();
    rt.run_for(20ms);
    EXPECT_GE(std::chrono::steady_clock::now() - began, 20ms);
    while (!slept) rt.run_for(1ms);
}

TEST_F(LocalRuntime, RunForEndsAtOnceWhenTheTimeIsOverAlready) {
    int turns = 0;  // outlives the tasks
    local_runtime rt{local_options()};
    rt.spawn([&]() -> task<> {
        ++turns;
        co_await never();
    });
    rt.run_for(-1h);
    for (int i = 0; i < 200; ++i) rt.run_for(std::chrono::microseconds{i});
    EXPECT_EQ(turns, 1);
}

TEST_F(LocalRuntime, AnotherThreadMayDriveItAfterTheFirst) {
    local_runtime rt{local_options()};
    auto one_step = [&] {
        return rt.run_until([]() -> task<std::thread::id> {
            co_await sleep_for(1ms);
            co_return std::this_thread::get_id();
        });
    };
    std::thread::id elsewhere;
    std::thread other{[&] { elsewhere = one_step(); }};
    auto other_id = other.get_id();
    other.join();
    EXPECT_EQ(elsewhere, other_id);
    EXPECT_EQ(one_step(), std::this_thread::get_id());
}

// ---- poll and native_handle --------------------------------------------------------------------------------------

TEST_F(LocalRuntime, PollIsBoundedByItsNumberOfPolls) {
    int turns = 0;  // outlives the tasks
    local_runtime rt{local_options()};
    rt.spawn([&]() -> task<> {
        for (;;) {
            ++turns;
            co_await yield();
        }
    });
    auto result = rt.poll({.max_polls = 10, .max_time = 1h});
    EXPECT_EQ(result.polls, 10U);
    EXPECT_EQ(turns, 10);
    EXPECT_TRUE(result.more);
    EXPECT_TRUE(readable(rt));  // a loop that ignores `more` comes back all the same
}

TEST_F(LocalRuntime, PollIsBoundedByItsTime) {
    local_runtime rt{local_options()};
    rt.spawn([]() -> task<> {
        for (;;) co_await yield();
    });
    auto result = rt.poll({.max_polls = static_cast<std::size_t>(-1), .max_time = 1ms});
    EXPECT_GT(result.polls, 0U);
    EXPECT_TRUE(result.more);
}

TEST_F(LocalRuntime, TheHandleIsNotReadableWhileThereIsNothingToDo) {
    local_runtime rt{local_options()};
    rt.poll();
    EXPECT_FALSE(readable(rt));
    rt.spawn(never);
    EXPECT_TRUE(readable(rt));
    EXPECT_FALSE(rt.poll().more);
    EXPECT_FALSE(readable(rt));
    EXPECT_EQ(rt.poll().polls, 0U);
    EXPECT_FALSE(readable(rt));
}

TEST_F(LocalRuntime, TheHandleIsSilentAfterRunUntilToo) {
    local_runtime rt{local_options()};
    rt.run_until([]() -> task<> { co_await sleep_for(1ms); });
    rt.poll();
    EXPECT_FALSE(readable(rt));
}

// One wake-up of the host for each time at which timers are due: neither a busy loop nor a lost timer.
TEST_F(LocalRuntime, TimersMakeTheHandleReadableWithoutABusyLoop) {
    local_runtime rt{local_options()};
    constexpr int sleeps = 20;
    int fired = 0;
    rt.spawn([&]() -> task<> {
        for (int i = 0; i < sleeps; ++i) {
            co_await sleep_for(2ms);
            ++fired;
        }
    });
    int polls = 0;
    while (fired < sleeps) {
        wait_readable(rt);
        rt.poll();
        ++polls;
    }
    EXPECT_LE(polls, 3 * sleeps);
    EXPECT_FALSE(readable(rt));
}

TEST_F(LocalRuntime, AnEarlierTimerReplacesALaterOneAndALaterOneAnEarlier) {
    local_runtime rt{local_options()};
    bool slept = false;
    rt.spawn([]() -> task<> { co_await sleep_for(1h); });
    while (rt.poll().more) {}
    EXPECT_FALSE(readable(rt));
    rt.spawn([&]() -> task<> {
        co_await sleep_for(1ms);
        slept = true;
    });
    int polls = 0;
    while (!slept) {
        wait_readable(rt);
        rt.poll();
        ++polls;
    }
    EXPECT_LE(polls, 4);
    EXPECT_FALSE(readable(rt));
}

TEST_F(LocalRuntime, AThreadThatWakesATaskMakesTheHandleReadable) {
    local_runtime rt{local_options()};
    gate shut;
    bool through = false;
    rt.spawn([&]() -> task<> {
        co_await shut.wait();
        through = true;
    });
    while (rt.poll().more) {}
    ASSERT_FALSE(readable(rt));
    std::thread opener{[&] { shut.open(); }};
    int polls = 0;
    while (!through) {
        wait_readable(rt);
        rt.poll();
        ++polls;
    }
    opener.join();
    EXPECT_LE(polls, 3);
}

TEST_F(LocalRuntime, TheHostItselfMayWakeATaskBetweenTwoPolls) {
    local_runtime rt{local_options()};
    gate shut;
    rt.spawn([&]() -> task<> { co_await shut.wait(); });
    rt.poll();
    ASSERT_FALSE(readable(rt));
    shut.open();
    EXPECT_TRUE(readable(rt));
    rt.poll();
    EXPECT_EQ(rt.metrics().live_tasks, 0U);
}

TEST_F(LocalRuntime, AThreadMayStopATask) {
    local_runtime rt{local_options()};
    bool slept = false;
    scope* open = nullptr;
    rt.spawn([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            open = &s;
            co_await sleep_for(1h);
            slept = true;
        });
    });
    while (rt.poll().more) {}
    ASSERT_NE(open, nullptr);
    std::thread stopper{[&] { open->request_stop(); }};
    while (rt.metrics().live_tasks != 0) {
        wait_readable(rt);
        rt.poll();
    }
    stopper.join();
    EXPECT_FALSE(slept);
}

// Every wake-up reaches a host that does nothing but poll(2): a lost one hangs the test.
TEST_F(LocalRuntime, NoWakeUpFromManyThreadsIsLost) {
    local_runtime rt{local_options()};
    constexpr int threads = 3;
    constexpr int each = sanitized ? 500 : 3000;
    int ran = 0;
    std::vector<std::thread> spawners;
    for (int t = 0; t < threads; ++t) {
        spawners.emplace_back([&] {
            for (int i = 0; i < each; ++i) {
                rt.spawn([&]() -> task<> {
                    ++ran;
                    co_return;
                });
                if (i % 16 == 0) std::this_thread::yield();
            }
        });
    }
    while (ran < threads * each) {
        wait_readable(rt);
        rt.poll({.max_polls = 7});
    }
    for (auto& t : spawners) t.join();
}

TEST_F(LocalRuntime, ATaskOfAnotherRuntimeMayPollIt) {
    runtime outer{options(1)};
    local_runtime inner{local_options()};
    auto answer = outer.block_on([&]() -> task<int> {
        int result = 0;
        inner.spawn([&]() -> task<> {
            co_await yield();
            result = static_cast<int>(this_task::id() != 0);
        });
        while (result == 0) inner.poll();
        co_await yield();  // still a task of the outer one
        co_return result;
    });
    EXPECT_EQ(answer, 1);
}

// A lock that the host holds is not the task's.
TEST_F(LocalRuntime, ALockThatTheHostHoldsAroundPollIsNoFinding) {
    captured_reports captured;
    auto o = local_options();
    o.guardrails = "stall=off,lock=log";
    local_runtime rt{o};
    sync_mutex mutex;
    rt.spawn([]() -> task<> { co_await yield(); });
    {
        std::scoped_lock guard(mutex);
        while (rt.poll().more) {}
    }
    EXPECT_EQ(captured.sink->written(), 0U);
}

TEST_F(LocalRuntime, AHostThatATaskBlocksIsReported) {
    captured_reports captured;
    local_runtime rt{{.name = "blocked", .guardrails = "all=log,stall=log:20ms"}};
    rt.spawn([&]() -> task<> {
        while (captured.sink->written() == 0) {}
        co_return;
    });
    while (rt.poll().more) {}
    EXPECT_EQ(captured.sink->of(guardrail::blocked_worker).size(), 1U);
}

// ---- several runtimes --------------------------------------------------------------------------------------------

TEST_F(LocalRuntime, AChannelJoinsALocalRuntimeAndOneWithThreads) {
    runtime far{options(2)};
    local_runtime near{local_options()};
    constexpr int messages = sanitized ? 2'000 : 20'000;
    auto [to_far, far_end] = channel<int>(8);
    auto [to_near, near_end] = channel<int>(8);
    far.spawn(
        [](receiver<int> in, sender<int> out) -> task<> {
            while (auto message = co_await in.recv()) co_await out.send(*message + 1);
        },
        std::move(far_end), std::move(to_near));
    auto sum = near.run_until([&]() -> task<std::int64_t> {
        auto send_all = [](sender<int> out) -> task<> {
            for (int i = 0; i < messages; ++i) co_await out.send(i);
        };
        auto add_all = [](receiver<int> in) -> task<std::int64_t> {
            std::int64_t total = 0;
            while (auto message = co_await in.recv()) total += *message;
            co_return total;
        };
        auto [nothing, total] = co_await when_all(send_all(std::move(to_far)), add_all(std::move(near_end)));
        co_return total;
    });
    EXPECT_EQ(sum, std::int64_t{messages} * (messages + 1) / 2);
}

TEST_F(LocalRuntime, AChannelJoinsTwoLocalRuntimesInOneLoop) {
    local_runtime one{local_options()}, two{local_options()};
    auto [tx, rx] = channel<int>(1);
    int received = 0;
    one.spawn(
        [](sender<int> out) -> task<> {
            for (int i = 0; i < 100; ++i) co_await out.send(i);
        },
        std::move(tx));
    two.spawn(
        [&received](receiver<int> in) -> task<> {
            while (co_await in.recv()) ++received;
        },
        std::move(rx));
    while (one.metrics().live_tasks + two.metrics().live_tasks != 0) {
        pollfd handles[] = {{one.native_handle(), POLLIN, 0}, {two.native_handle(), POLLIN, 0}};
        ASSERT_GT(poll_again(handles, 2), 0);
        if (handles[0].revents != 0) one.poll();
        if (handles[1].revents != 0) two.poll();
    }
    EXPECT_EQ(received, 100);
}

std::size_t entries_of(const char* directory) {
    std::size_t count = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(directory)) ++count;
    return count;
}

TEST_F(LocalRuntime, AHundredStartsAndStopsLeaveNeitherDescriptorNorThread) {
    auto cycle = [] {
        local_runtime near{{.name = "near", .guardrails = "stall=log:60s"}};
        runtime far{options(2)};
        auto [tx, rx] = channel<int>(1);
        far.spawn([](sender<int> out) -> task<> { co_await out.send(1); }, std::move(tx));
        near.run_until([](receiver<int> in) -> task<> {
            while (co_await in.recv()) {}
            co_await spawn_blocking([] {});
        }(std::move(rx)));
    };
    cycle();  // what a process makes once
    auto descriptors = entries_of("/proc/self/fd");
    auto threads = entries_of("/proc/self/task");
    for (int i = 0; i < 100; ++i) cycle();
    EXPECT_EQ(entries_of("/proc/self/fd"), descriptors);
    wait_until([&] { return entries_of("/proc/self/task") <= threads; });  // a joined thread needs a moment to leave /proc
}

// ---- the blocking pool -------------------------------------------------------------------------------------------

TEST_F(LocalRuntime, HasNoThreadUntilABlockingFunctionNeedsOne) {
    auto before = entries_of("/proc/self/task");
    local_runtime rt{local_options()};
    rt.run_until([]() -> task<> { co_await sleep_for(1ms); });
    EXPECT_LE(entries_of("/proc/self/task"), before);  // threads of other tests may still be on their way out
    EXPECT_EQ(rt.run_until([]() -> task<int> { co_return co_await spawn_blocking([] { return 5; }); }), 5);
    EXPECT_GT(rt.metrics().pools.at(0).threads, 0U);
}

TEST_F(LocalRuntime, ABlockingFunctionThatEndsMakesTheHandleReadable) {
    local_runtime rt{local_options()};
    blocking_pool pool{rt, {.name = "mine", .max_threads = 1}};
    int answer = 0;
    rt.spawn([&]() -> task<> { answer = co_await pool.run([] { return 9; }); });
    while (answer == 0) {
        wait_readable(rt);
        rt.poll();
    }
    EXPECT_EQ(answer, 9);
    EXPECT_TRUE(rt.shutdown(60s).clean());
}

// ---- the end -----------------------------------------------------------------------------------------------------

TEST_F(LocalRuntime, DestructionStopsWhatStillRunsAndDestroysItsFrames) {
    std::atomic<int> live{0};
    {
        local_runtime rt{local_options()};
        for (int i = 0; i < 50; ++i) {
            rt.spawn([&live, held = counted{live}]() -> task<> {
                counted local{live};
                co_await when_all(never(), never());
            });
        }
        for (int i = 0; i < 30; ++i) rt.poll({.max_polls = 3});
        rt.spawn([held = counted{live}]() -> task<> { co_await never(); });  // never polled
        EXPECT_GT(live, 50);
    }
    EXPECT_EQ(live, 0);
}

TEST_F(LocalRuntime, WithoutGraceWhatNeedNotWaitIsEndedAllTheSame) {
    local_runtime rt{local_options()};
    for (int i = 0; i < 100; ++i) rt.spawn(never);
    while (rt.poll().more) {}
    EXPECT_TRUE(rt.shutdown(0ns).clean());
    EXPECT_TRUE(rt.shutdown(60s).clean());
}

TEST_F(LocalRuntime, AShutdownSleepsForCleanupThatSleeps) {
    local_runtime rt{local_options()};
    bool cleaned = false;
    rt.spawn([&]() -> task<> {
        co_await shield([&]() -> task<> {
            co_await sleep_for(5ms);
            cleaned = true;
        }());
    });
    rt.poll();
    EXPECT_TRUE(rt.shutdown(60s).clean());
    EXPECT_TRUE(cleaned);
}

TEST_F(LocalRuntime, AfterShutdownItRefusesTasksAndPollDoesNothing) {
    local_runtime rt{local_options()};
    rt.shutdown(60s);
    EXPECT_THROW(rt.spawn(never), scope_closed);
    EXPECT_THROW(rt.run_until(never()), scope_closed);
    EXPECT_EQ(rt.poll().polls, 0U);
    rt.run_for(1h);  // returns at once
    EXPECT_EQ(rt.core().searching_, 0U);
    EXPECT_FALSE(readable(rt));
}

/// A foreign awaitable that nobody resumes and nothing can stop.
struct for_ever {
    static bool await_ready() noexcept { return false; }
    void await_suspend(std::coroutine_handle<>) const noexcept {}
    static void await_resume() noexcept {}
};

/// A yield that does not look at the stop.
struct deaf_yield : detail::native_awaitable {
    static bool await_ready() noexcept { return false; }
    template <class P>
    static void await_suspend(std::coroutine_handle<P> h) noexcept {
        detail::schedule_fair(*h.promise().rec);
    }
    static void await_resume() noexcept {}
};

TEST_F(LocalRuntime, ATaskThatCannotBeStoppedIsAbandonedCountedAndReported) {
    captured_reports captured;
    {
        local_runtime rt{{.name = "abandoning", .guardrails = "stall=off,leak=log"}};
        rt.spawn([]() -> task<> { co_await for_ever{}; });
        rt.poll();
        EXPECT_EQ(rt.shutdown(0ns).abandoned, 1U);
        EXPECT_EQ(rt.shutdown(60s).abandoned, 1U);  // the report of the first
    }
    EXPECT_EQ(captured.sink->of(guardrail::task_leak).size(), 1U);
}

TEST_F(LocalRuntime, ATaskThatIgnoresTheStopDoesNotKeepAShutdownForEver) {
    captured_reports captured;
    local_runtime rt{{.name = "abandoning", .guardrails = "stall=off,leak=log"}};
    rt.spawn([]() -> task<> {
        for (;;) co_await deaf_yield{};
    });
    rt.poll({.max_polls = 10});
    EXPECT_EQ(rt.shutdown(1ms).abandoned, 1U);
}

TEST_F(LocalRuntime, AThreadThatWakesATaskAtTheEndIsWaitedFor) {
    for (int round = 0; round < (sanitized ? 50 : 300); ++round) {
        gate shut;
        std::thread opener{[&] {
            wait_until([&] { return shut.waiting() == 1; });
            shut.open();
        }};
        {
            local_runtime rt{local_options()};
            rt.run_until([&]() -> task<> { co_await shut.wait(); });
        }
        opener.join();
    }
}

TEST_F(LocalRuntime, AForkedChildMayDestroyItsCopyAndMakeOneOfItsOwn) {
    auto rt = std::make_unique<local_runtime>(local_options());
    rt->run_until([]() -> task<> { co_return; });
    pid_t child = ::fork();
    if (child == 0) {
        rt.reset();
        local_runtime own{local_options()};
        ::_exit(own.run_until([]() -> task<int> {
            co_await sleep_for(1ms);
            co_return 17;
        }));
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 17);
    rt->run_until([]() -> task<> { co_return; });
}

// ---- options -----------------------------------------------------------------------------------------------------

TEST_F(LocalRuntime, SaysWhatItIs) {
    local_runtime rt{{.name = "mine", .io = io_backend::asio, .guardrails = "stall=off"}};
    EXPECT_EQ(rt.name(), "mine");
    EXPECT_EQ(rt.io_driver(), "asio");
    EXPECT_FALSE(rt.io_driver_reason().empty());
    EXPECT_EQ(rt.workers(), 1U);
    rt.run_until([]() -> task<> { co_return; });
    EXPECT_EQ(rt.metrics().runtime, "mine");
    EXPECT_EQ(rt.metrics().workers.at(0).completed, 1U);
}

TEST_F(LocalRuntime, OptionsAreValidatedByName) {
    EXPECT_THROW(local_runtime{{.name = ""}}, std::invalid_argument);
    EXPECT_THROW(local_runtime{{.blocking_threads = 0}}, std::invalid_argument);
    EXPECT_THROW(local_runtime{{.shutdown_grace = -1ms}}, std::invalid_argument);
}

// ---- misuse ------------------------------------------------------------------------------------------------------

class LocalRuntimeDeathTest : public Suite {
protected:
    void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

TEST_F(LocalRuntimeDeathTest, APollInsideATaskOfItsOwnIsNamed) {
    EXPECT_DEATH(
        {
            local_runtime rt{local_options()};
            rt.run_until([&]() -> task<> {
                rt.poll();
                co_return;
            });
        },
        "MISUSE: poll\\(\\) was called inside a task");
}

TEST_F(LocalRuntimeDeathTest, ARunUntilInsideATaskOfItsOwnIsNamed) {
    EXPECT_DEATH(
        {
            local_runtime rt{local_options()};
            rt.run_until([&]() -> task<> {
                rt.run_until(never());
                co_return;
            });
        },
        "MISUSE: run_until\\(\\) was called inside a task of the same");
}

TEST_F(LocalRuntimeDeathTest, AShutdownInsideATaskIsNamed) {
    EXPECT_DEATH(
        {
            local_runtime rt{local_options()};
            rt.run_until([&]() -> task<> {
                rt.shutdown(1s);
                co_return;
            });
        },
        "MISUSE: shutdown\\(\\)");
}

TEST_F(LocalRuntimeDeathTest, ARunUntilOnAWorkerOfAnotherRuntimeIsNamed) {
    EXPECT_DEATH(
        {
            runtime outer{options(1)};
            local_runtime inner{local_options()};
            outer.block_on([&]() -> task<> {
                inner.run_until(never());
                co_return;
            });
        },
        "MISUSE: run_until\\(\\) of a local_runtime was called on a worker of another runtime");
}

TEST_F(LocalRuntimeDeathTest, TwoThreadsThatDriveItAtOnceAreNamed) {
    EXPECT_DEATH(
        {
            local_runtime rt{local_options()};
            std::thread other{[&] { rt.run_until(never()); }};
            wait_until([&] { return rt.metrics().live_tasks == 1; });
            rt.poll();
        },
        "MISUSE: two threads drive a local_runtime at the same time");
}

TEST_F(LocalRuntimeDeathTest, PollInAForkedChildIsNamed) {
    GTEST_FLAG_SET(death_test_style, "fast");  // a fork of this process is the point
    local_runtime rt{local_options()};
    EXPECT_DEATH(rt.poll(), "MISUSE: a local_runtime was used in a child process of fork\\(\\)");
}

}  // namespace
}  // namespace belay
