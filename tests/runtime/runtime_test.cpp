// Starting, stopping, several at once. Promise 9 (no global state) and promise 10 (destroying a runtime always ends).
#include <belay/runtime/blocking.hpp>
#include <belay/runtime/detail/worker.hpp>
#include <belay/runtime/runtime.hpp>
#include <belay/runtime/sleep.hpp>
#include <belay/runtime/this_task.hpp>
#include <belay/runtime/when_all.hpp>
#include <belay/tests/observability/capture_sink.hpp>
#include <belay/tests/runtime/support.hpp>

#include <semaphore>

namespace belay {
namespace {

using namespace test;

class Runtime : public Suite {};

TEST_F(Runtime, BlockOnReturnsValuesAndReferencesAndRethrowsErrors) {
    runtime rt{options()};
    int n = 0;
    EXPECT_EQ(rt.block_on([]() -> task<int> { co_return 3; }), 3);
    EXPECT_EQ(&rt.block_on([&]() -> task<int&> { co_return n; }), &n);
    EXPECT_EQ(*rt.block_on([]() -> task<std::unique_ptr<int>> { co_return std::make_unique<int>(4); }), 4);
    EXPECT_THROW(rt.block_on([]() -> task<> {
        throw std::runtime_error("root");
        co_return;
    }),
                 std::runtime_error);
    rt.block_on([closure = std::string(100, 'x')]() -> task<> {
        co_await yield();
        EXPECT_EQ(closure, std::string(100, 'x'));
    });
}

TEST_F(Runtime, BlockOnMayBeCalledFromManyThreadsAtOnce) {
    runtime rt{options()};
    std::vector<std::thread> threads;
    std::atomic<int> sum{0};
    for (int t = 0; t < 8; ++t) {
        threads.emplace_back([&, t] {
            for (int i = 0; i < 50; ++i) {
                sum += rt.block_on([t]() -> task<int> {
                    co_await yield();
                    co_return t;
                });
            }
        });
    }
    for (auto& t : threads) t.join();
    EXPECT_EQ(sum, 50 * 28);
}

TEST_F(Runtime, StartsAndStopsAnyNumberOfTimes) {
    for (int i = 0; i < (sanitized ? 20 : 100); ++i) {
        runtime rt{options(1 + static_cast<unsigned>(i % 4))};
        if (i % 3 == 0) continue;  // never used
        EXPECT_EQ(rt.block_on([i]() -> task<int> {
            co_await yield();
            if (i % 2 == 0) co_await spawn_blocking([] {});
            co_return i;
        }),
                  i);
    }
}

TEST_F(Runtime, SeveralRuntimesLiveSideBySide) {
    std::vector<std::unique_ptr<runtime>> all;
    for (int i = 0; i < 4; ++i) all.push_back(std::make_unique<runtime>(options()));
    std::atomic<int> ended{0};
    for (auto& rt : all) {
        for (int i = 0; i < 100; ++i) {
            rt->spawn([&]() -> task<> {
                co_await sleep_for(1ms);
                ++ended;
            });
        }
    }
    wait_until([&] { return ended == 400; });
    all.erase(all.begin() + 1);  // in any order
    EXPECT_EQ(all[1]->block_on([]() -> task<int> { co_return 1; }), 1);
}

TEST_F(Runtime, DestructionStopsWhatStillRunsAndDestroysItsFrames) {
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

TEST_F(Runtime, ShutdownIsIdempotentAndGivesTheReasonShutdown) {
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

TEST_F(Runtime, AfterShutdownSpawnAndBlockOnThrowScopeClosed) {
    runtime rt{options()};
    rt.shutdown(60s);
    EXPECT_THROW(rt.spawn(never), scope_closed);
    EXPECT_THROW(rt.block_on(never()), scope_closed);
}

// What a stop becomes at block_on.
TEST_F(Runtime, ABlockOnThatIsStoppedByAShutdownThrowsTaskStopped) {
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
TEST_F(Runtime, ShutdownRacesWithSpawnAndBlockOnFromOtherThreads) {
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

TEST_F(Runtime, ShutdownEndsAStormOfTasksThatSpawnTasks) {
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

TEST_F(Runtime, ATaskThatCannotBeStoppedIsAbandonedCountedAndReported) {
    captured_reports captured;
    {
        runtime rt{{.workers = 2, .name = "abandoning", .guardrails = "stall=off,leak=log"}};
        std::atomic<bool> running{false};
        auto handle = rt.spawn([&]() -> task<> { co_await for_ever{running}; });
        wait_until([&] { return running.load(); });
        auto report = rt.shutdown(1ms);
        EXPECT_EQ(report.abandoned, 1U);
        EXPECT_FALSE(report.clean());
        if (!report.survivors.empty()) {
            EXPECT_NE(std::string(report.survivors[0].spawned.file_name()).find("runtime_test.cpp"), std::string::npos);
        }
    }
    EXPECT_EQ(captured.sink->of(guardrail::task_leak).size(), 1U);
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

TEST_F(Runtime, AnAbandonedThreadParksBeforeItResumesAnyTask) {
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

TEST_F(Runtime, OneStuckWorkerDoesNotKeepTheOthersFromEnding) {
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
TEST_F(Runtime, MayBeDestroyedWhileTheThreadThatCompletedItsLastTaskIsStillReturning) {
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

// ---- options, metrics, misuse ------------------------------------------------------------------------------------

TEST_F(Runtime, OptionsAreValidatedByName) {
    auto message = [](const runtime_options& o) -> std::string {
        try {
            runtime rt{o};
            return "";
        } catch (const std::invalid_argument& e) {
            return e.what();
        }
    };
    EXPECT_NE(message({.workers = 257}).find("workers"), std::string::npos);
    EXPECT_NE(message({.name = ""}).find("name"), std::string::npos);
    EXPECT_NE(message({.takeover_tick = 1us}).find("takeover_tick"), std::string::npos);
    EXPECT_NE(message({.takeover_tick = 2s}).find("takeover_tick"), std::string::npos);
    EXPECT_NE(message({.blocking_threads = 0}).find("blocking_threads"), std::string::npos);
    EXPECT_NE(message({.blocking_queue = 0}).find("blocking_queue"), std::string::npos);
    EXPECT_NE(message({.blocking_keep_alive = -1ms}).find("blocking_keep_alive"), std::string::npos);
    EXPECT_NE(message({.shutdown_grace = -1ms}).find("shutdown_grace"), std::string::npos);
    EXPECT_FALSE(message({.guardrails = "stall=maybe"}).empty());
    EXPECT_EQ(message({.workers = 1, .takeover_tick = 0ns}), "");
    EXPECT_EQ(message({.workers = 1, .shutdown_grace = std::chrono::milliseconds::max()}), "");
}

TEST_F(Runtime, TheDriverIsTheOneThatWasAskedFor) {
    for (auto [backend, name] : {std::pair{io_backend::asio, "asio"}, std::pair{io_backend::uring, "uring"}}) {
        auto o = options(1);
        o.io = backend;
        try {
            runtime rt{o};
            EXPECT_EQ(rt.io_driver(), name);
            EXPECT_FALSE(rt.io_driver_reason().empty());
        } catch (const std::system_error&) {
            EXPECT_EQ(backend, io_backend::uring);  // a kernel without it
        }
    }
}

TEST_F(Runtime, MetricsCountWhatHappened) {
    runtime rt{options()};
    captured_reports quiet;
    rt.block_on([&]() -> task<> {
        co_await with_scope({.on_error = on_error::isolate}, [&](scope& s) -> task<> {
            for (int i = 0; i < 10; ++i) s.spawn([]() -> task<> { co_return; });
            for (int i = 0; i < 5; ++i) {
                s.spawn([]() -> task<> {
                    throw std::runtime_error("counted");
                    co_return;
                });
            }
            co_await until([&] { return s.size() == 0; });
            for (int i = 0; i < 3; ++i) s.spawn(never);
            s.request_stop();
        });
    });
    wait_until([&] { return rt.metrics().live_tasks == 0; });
    std::uint64_t completed = 0, failed = 0, stopped = 0, polls = 0;
    auto m = rt.metrics();
    for (const auto& w : m.workers) {
        completed += w.completed;
        failed += w.failed;
        stopped += w.stopped;
        polls += w.polls;
    }
    EXPECT_EQ(completed, 11U);  // ten and the root
    EXPECT_EQ(failed, 5U);
    EXPECT_EQ(stopped, 3U);
    EXPECT_GE(polls, 12U);
    EXPECT_EQ(m.runtime, "test");
    EXPECT_EQ(m.workers.size(), 2U);
}

using RuntimeDeathTest = Runtime;

TEST_F(RuntimeDeathTest, BlockOnInsideATaskIsNamed) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_DEATH(
        {
            runtime rt{options()};
            rt.block_on([&]() -> task<> {
                rt.block_on(never());
                co_return;
            });
        },
        "MISUSE: block_on\\(\\) was called on a worker");
}

TEST_F(RuntimeDeathTest, ShutdownInsideATaskIsNamed) {
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
