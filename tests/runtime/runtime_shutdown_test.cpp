// How a runtime ends: shutdown, its report, what is abandoned, fork. Promise 10 (destroying a runtime always ends).
#include <belay/runtime/blocking.hpp>
#include <belay/runtime/detail/worker.hpp>
#include <belay/runtime/runtime.hpp>
#include <belay/runtime/shield.hpp>
#include <belay/runtime/sleep.hpp>
#include <belay/runtime/this_task.hpp>
#include <belay/runtime/when_all.hpp>
#include <belay/tests/observability/capture_sink.hpp>
#include <belay/tests/runtime/support.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <latch>
#include <semaphore>

namespace belay {
namespace {

using namespace test;

class RuntimeShutdown : public Suite {};

TEST_F(RuntimeShutdown, DestructionStopsWhatStillRunsAndDestroysItsFrames) {
    std::atomic<int> live{0};
    {
        runtime rt{options()};
        for (int i = 0; i < 50; ++i) {
            rt.spawn([&live, held = counted{live}]() -> task<> {
                counted local{live};
                co_await when_all(sleep_for(1h), never());
            });
        }
        wait_until([&] { return live >= 100; });
    }
    EXPECT_EQ(live, 0);
}

TEST_F(RuntimeShutdown, GivesTheReasonShutdown) {
    runtime rt{options()};
    std::atomic<stop_reason> reason{stop_reason::none};
    std::atomic<bool> running{false};
    rt.spawn([&]() -> task<> {
        running = true;
        while (!this_task::stop_requested()) std::this_thread::yield();
        reason = this_task::stop_reason();
        co_return;
    });
    wait_until([&] { return running.load(); });
    EXPECT_TRUE(rt.shutdown(60s).clean());
    EXPECT_TRUE(rt.shutdown(60s).clean());
    EXPECT_EQ(reason.load(), stop_reason::shutdown);
}

TEST_F(RuntimeShutdown, AfterShutdownSpawnAndBlockOnThrowScopeClosed) {
    runtime rt{options()};
    rt.shutdown(60s);
    EXPECT_THROW(rt.spawn(never), scope_closed);
    EXPECT_THROW(rt.block_on(never()), scope_closed);
}

// What a stop becomes at block_on.
TEST_F(RuntimeShutdown, ABlockOnThatIsStoppedByAShutdownThrowsTaskStopped) {
    runtime rt{options()};
    gate shut;
    std::thread other{[&] {
        wait_until([&] { return shut.waiting() == 1; });
        rt.shutdown(60s);
    }};
    try {
        rt.block_on([&]() -> task<> { co_await shut.wait(); });
        ADD_FAILURE() << "no task_stopped";
    } catch (const task_stopped& e) {
        EXPECT_EQ(e.reason(), stop_reason::shutdown);
    }
    other.join();
}

// Every thread that spawns or blocks while the runtime shuts down is either served or refused; none waits for ever.
TEST_F(RuntimeShutdown, ShutdownRacesWithSpawnAndBlockOnFromOtherThreads) {
    std::atomic<int> live{0}, served{0}, refused{0};
    for (int round = 0; round < (sanitized ? 40 : 200); ++round) {
        runtime rt{options()};
        std::atomic<int> ready{0};
        std::vector<std::thread> threads;
        for (int t = 0; t < 4; ++t) {
            threads.emplace_back([&, t] {
                ++ready;
                for (;;) {
                    try {
                        if (t % 2 == 0) {
                            rt.spawn([held = counted{live}]() -> task<> { co_return; });
                        } else {
                            rt.block_on([&]() -> task<> {
                                counted local{live};
                                co_return;
                            });
                        }
                        ++served;
                    } catch (const scope_closed&) {
                        ++refused;
                        return;
                    } catch (const task_stopped&) {}
                }
            });
        }
        wait_until([&] { return ready == 4; });
        EXPECT_TRUE(rt.shutdown(60s).clean());
        for (auto& t : threads) t.join();
    }
    EXPECT_EQ(live, 0);
    EXPECT_GT(refused, 0);
}

TEST_F(RuntimeShutdown, ShutdownEndsAStormOfTasksThatSpawnTasks) {
    struct storm {
        static task<> grow(runtime& rt, std::atomic<int>& spawned) {
            try {
                for (;;) {
                    rt.spawn([&]() -> task<> {
                        ++spawned;
                        co_await yield();
                    });
                    co_await yield();
                }
            } catch (const scope_closed&) {}
        }
    };
    runtime rt{options()};
    std::atomic<int> spawned{0};
    for (int i = 0; i < 4; ++i) rt.spawn(storm::grow, std::ref(rt), std::ref(spawned));
    wait_until([&] { return spawned > 1000; });
    EXPECT_TRUE(rt.shutdown(60s).clean());
}

// ---- promise 10: after the grace nothing is destroyed by force -----------------------------------------------------

/// A foreign awaitable that nobody resumes and nothing can stop. Says when it has been reached.
struct for_ever {
    std::atomic<bool>& reached;
    static bool await_ready() noexcept { return false; }
    void await_suspend(std::coroutine_handle<>) const noexcept { reached = true; }
    static void await_resume() noexcept {}
};

TEST_F(RuntimeShutdown, ATaskThatCannotBeStoppedIsAbandonedCountedAndReported) {
    captured_reports captured;
    {
        runtime rt{{.workers = 2, .name = "abandoning", .guardrails = "stall=off,leak=log"}};
        std::atomic<bool> running{false};
        auto handle = rt.spawn([&]() -> task<> { co_await for_ever{running}; });
        wait_until([&] { return running.load(); });
        auto report = rt.shutdown(1ms);
        EXPECT_EQ(report.abandoned, 1U);
        EXPECT_FALSE(report.clean());
        EXPECT_EQ(rt.shutdown(60s).abandoned, 1U);  // every call gives the report of the first
        if (!report.survivors.empty()) {
            EXPECT_NE(std::string(report.survivors[0].spawned.file_name()).find("runtime_shutdown_test.cpp"), std::string::npos);
        }
    }
    EXPECT_EQ(captured.sink->of(guardrail::task_leak).size(), 1U);
}

TEST_F(RuntimeShutdown, CutsTheGraceOfAShieldThatRunsAlready) {
    captured_reports captured;
    bool clean = false;
    // The shutdown leaves it half a second to unwind. A busy machine may not: then once more.
    for (int attempt = 0; attempt < 5 && !clean; ++attempt) {
        auto begun = std::make_shared<std::atomic<bool>>(false);
        runtime rt{{.workers = 2, .name = "graces", .guardrails = "stall=off,leak=log"}};
        auto handle = rt.spawn([begun]() -> task<> {
            auto work = [](std::shared_ptr<std::atomic<bool>> flag) -> task<> {
                *flag = true;
                co_await never();
            };
            co_await shield(work(begun), 2h);
        });
        wait_until([&] { return begun->load(); });
        handle.request_stop();
        clean = rt.shutdown(2s).clean();
    }
    EXPECT_TRUE(clean);
}

/// Shared with a thread that outlives the test.
struct hog_state {
    std::binary_semaphore go{0};
    std::atomic<bool> hogging{false}, resumed{false};
    void hog() {
        hogging = true;
        go.acquire();
    }
};

TEST_F(RuntimeShutdown, AnAbandonedThreadParksBeforeItResumesAnyTask) {
    captured_reports captured;
    auto state = std::make_shared<hog_state>();
    std::shared_ptr<detail::runtime_core> core;
    {
        runtime rt{{.workers = 2, .name = "abandoning", .guardrails = "stall=off,leak=log"}};
        core = rt.core().shared_from_this();
        rt.spawn([state]() -> task<> {
            auto hog = [&]() -> task<> {
                state->hog();
                co_return;  // the parent would be resumed right here, by symmetric transfer
            };
            co_await when_all(hog());
            state->resumed = true;
        });
        wait_until([&] { return state->hogging.load(); });
        EXPECT_EQ(rt.shutdown(1ms).abandoned, 1U);
    }
    detail::worker* stuck = nullptr;
    for (auto& w : core->workers) {
        if (w->abandoned) stuck = w.get();
    }
    ASSERT_NE(stuck, nullptr);
    EXPECT_EQ(stuck->epoch() % 2, 1U);  // in the poll still
    state->go.release();
    wait_until([&] { return stuck->epoch() % 2 == 0; });
    EXPECT_FALSE(state->resumed);
}

TEST_F(RuntimeShutdown, OneStuckWorkerDoesNotKeepTheOthersFromEnding) {
    captured_reports captured;
    auto state = std::make_shared<hog_state>();
    std::shared_ptr<detail::runtime_core> core;
    {
        runtime rt{{.workers = 4, .name = "abandoning", .guardrails = "stall=off,leak=log"}};
        core = rt.core().shared_from_this();
        rt.spawn([state]() -> task<> {
            state->hog();
            co_return;
        });
        wait_until([&] { return state->hogging.load(); });
        EXPECT_EQ(rt.shutdown(0ns).abandoned, 1U);
    }
    EXPECT_EQ(std::count_if(core->workers.begin(), core->workers.end(), [](auto& w) { return w->abandoned.load(); }), 1);
    state->go.release();
}

// A thread that is no worker completes the last operation, and the runtime goes away at once.
TEST_F(RuntimeShutdown, MayBeDestroyedWhileTheThreadThatCompletedItsLastTaskIsStillReturning) {
    for (int round = 0; round < (sanitized ? 100 : 500); ++round) {
        gate shut;
        std::thread opener{[&] {
            wait_until([&] { return shut.waiting() == 1; });
            shut.open();
        }};
        {
            runtime rt{options(1)};
            rt.block_on([&]() -> task<> { co_await shut.wait(); });
        }
        opener.join();
    }
}

// Whoever calls second must not go on while the tasks still run: it may destroy what they use.
TEST_F(RuntimeShutdown, AConcurrentSecondCallWaitsForTheFirst) {
    for (int i = 0; i < 20; ++i) {
        runtime rt{options()};
        std::atomic<bool> ended{false};
        std::latch running{1};
        rt.spawn([&]() -> task<> {
            running.count_down();
            while (!this_task::stop_requested()) std::this_thread::yield();
            for (int turn = 0; turn < 100; ++turn) std::this_thread::yield();
            ended = true;
            co_return;
        });
        running.wait();
        auto end = [&] {
            EXPECT_TRUE(rt.shutdown(60s).clean());
            EXPECT_TRUE(ended.load());
        };
        std::thread other{end};
        end();
        other.join();
    }
}

TEST_F(RuntimeShutdown, ClosesThePoolsOfTheUser) {
    runtime rt{options()};
    blocking_pool pool{rt, {.name = "mine", .max_threads = 1}};
    rt.block_on([&]() -> task<> { co_await pool.run([] {}); });
    EXPECT_EQ(pool.metrics().threads, 1U);
    EXPECT_TRUE(rt.shutdown(60s).clean());
    EXPECT_EQ(pool.metrics().threads, 0U);
}

// Idle threads of a pool need a moment to leave, and that is no reason to abandon the runtime with its rings.
TEST_F(RuntimeShutdown, WithoutGraceIdleThreadsOfAPoolAreNotAbandoned) {
    std::weak_ptr<detail::runtime_core> core;
    {
        constexpr unsigned threads = 32;
        auto with_threads = options();
        with_threads.blocking_threads = threads;
        runtime rt{with_threads};
        std::latch all_run{threads};
        rt.block_on(with_scope([&](scope& s) -> task<> {
            for (unsigned i = 0; i < threads; ++i)
                s.spawn([&]() -> task<> { co_await spawn_blocking([&] { all_run.arrive_and_wait(); }); });
            co_return;
        }));
        core = rt.core().weak_from_this();
        EXPECT_TRUE(rt.shutdown(0ns).clean());
    }
    EXPECT_TRUE(core.expired());
}

// The threads stay in the parent; a child that uses or destroys its copy must neither hang nor crash.
TEST_F(RuntimeShutdown, AForkedChildMayDestroyItsCopyOfARuntime) {
    auto rt = std::make_unique<runtime>(options());
    rt->block_on([]() -> task<> { co_return; });
    pid_t child = ::fork();
    if (child == 0) {
        rt.reset();
        ::_exit(17);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 17);
    rt->block_on([]() -> task<> { co_return; });
}

using RuntimeShutdownDeathTest = RuntimeShutdown;

TEST_F(RuntimeShutdownDeathTest, BlockOnInAForkedChildIsNamed) {
    GTEST_FLAG_SET(death_test_style, "fast");  // a fork of this process is the point
    runtime rt{options()};
    EXPECT_DEATH(rt.block_on(never()), "MISUSE: block_on\\(\\) was called in a child process of fork\\(\\)");
}

TEST_F(RuntimeShutdownDeathTest, ShutdownInsideATaskIsNamed) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_DEATH(
        {
            runtime rt{options()};
            rt.block_on([&]() -> task<> {
                rt.shutdown(1s);
                co_return;
            });
        },
        "MISUSE: shutdown\\(\\)");
}

}  // namespace
}  // namespace belay
