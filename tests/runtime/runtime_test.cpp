// Starting, several at once, options, metrics. Promise 9 (no global state).
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

}  // namespace
}  // namespace belay
