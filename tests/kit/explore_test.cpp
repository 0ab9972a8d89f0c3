// Programs with known mistakes, which must be found, made simple, and repeated.
#include <belay/tests/kit/explore.hpp>

#include <gtest/gtest-spi.h>
#include <belay/runtime/scope.hpp>
#include <belay/runtime/shield.hpp>
#include <belay/runtime/sleep.hpp>
#include <belay/runtime/yield.hpp>
#include <belay/sync/channel.hpp>
#include <belay/sync/event.hpp>
#include <belay/sync/mutex.hpp>
#include <belay/sync/semaphore.hpp>
#include <belay/sync/sync_mutex.hpp>
#include <belay/tests/kit/gtest.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <new>
#include <stdexcept>

namespace belay::kit {
namespace {

using namespace std::chrono_literals;

/// A read, an await, a write: the second of two such loses what the first has done.
task<> lost_update(simulation&) {
    int balance = 0;
    mutex unrelated;
    auto deposit = [&]() -> task<> {
        int read = balance;
        { auto guard = co_await unrelated.lock(); }
        balance = read + 1;
    };
    co_await with_scope([&](scope& s) -> task<> {
        for (int i = 0; i < 2; ++i) s.spawn([&]() -> task<> { co_await deposit(); });
        co_return;
    });
    if (balance != 2) throw std::runtime_error("money is lost");
}

/// The same with the lock around both.
task<> no_lost_update(simulation&) {
    int balance = 0;
    mutex account;
    co_await with_scope([&](scope& s) -> task<> {
        for (int i = 0; i < 2; ++i)
            s.spawn([&]() -> task<> {
                auto guard = co_await account.lock();
                int read = balance;
                co_await yield();
                balance = read + 1;
            });
        co_return;
    });
    if (balance != 2) throw std::runtime_error("money is lost");
}

TEST(Explore, AProgramWithoutAMistakeHasNoFailure) {
    auto result = explore({.seeds = 200, .twice = true}, no_lost_update);
    EXPECT_FALSE(result.failure) << result.failure->text();
    EXPECT_EQ(result.runs, 200U);
    EXPECT_GT(result.steps, 200U);
}

TEST(Explore, AFailureIsFoundMadeSimpleAndRepeated) {
    auto result = explore({.seeds = 1'000}, lost_update);
    ASSERT_TRUE(result.failure);
    const failed_run& failure = *result.failure;
    EXPECT_EQ(failure.kind, failure_kind::error);
    EXPECT_EQ(failure.what, "the program threw: money is lost");
    EXPECT_EQ(failure.schedule.choices.size(), 1U) << "one interruption is what it takes: " << failure.text();
    EXPECT_EQ(failure.trace.size(), failure.steps);
    std::string text = failure.text();
    EXPECT_NE(text.find("BELAY_SEED=" + std::to_string(failure.seed)), text.npos) << text;
    EXPECT_NE(text.find("BELAY_SCHEDULE=\"" + failure.schedule.to_string() + '"'), text.npos) << text;
    EXPECT_NE(text.find("goes on at explore_test.cpp:"), text.npos) << text;
    EXPECT_NE(text.find("\n >"), text.npos) << "the step is marked: " << text;

    auto again = explore({.seeds = 1, .sim = {.seed = failure.seed, .replay = failure.schedule}}, lost_update);
    ASSERT_TRUE(again.failure);
    EXPECT_EQ(again.failure->what, failure.what);
    EXPECT_EQ(again.failure->steps, failure.steps);
}

TEST(Explore, NoChoiceOfASimpleScheduleCanBeLeftOut) {
    auto result = explore({.seeds = 1'000}, lost_update);
    ASSERT_TRUE(result.failure);
    for (std::size_t i = 0; i < result.failure->schedule.choices.size(); ++i) {
        auto fewer = result.failure->schedule;
        fewer.choices.erase(fewer.choices.begin() + static_cast<std::ptrdiff_t>(i));
        EXPECT_FALSE(explore({.seeds = 1, .sim = {.seed = result.failure->seed, .replay = fewer}}, lost_update).failure);
    }
}

TEST(Explore, ASeedAndAScheduleOfTheEnvironmentAreRunAlone) {
    auto found = explore({.seeds = 1'000}, lost_update).failure;
    ASSERT_TRUE(found);
    ::setenv("BELAY_SEED", std::to_string(found->seed).c_str(), 1);
    ::setenv("BELAY_SCHEDULE", found->schedule.to_string().c_str(), 1);
    auto again = explore({.seeds = 1'000}, lost_update);
    ::setenv("BELAY_SCHEDULE", "-", 1);
    auto calm = explore({.seeds = 1'000}, lost_update);
    ::setenv("BELAY_SEED", "seven", 1);
    EXPECT_THROW(explore({}, lost_update), std::invalid_argument);
    ::unsetenv("BELAY_SEED");
    ::unsetenv("BELAY_SCHEDULE");
    EXPECT_EQ(again.runs, 1U);
    EXPECT_TRUE(again.failure);
    EXPECT_EQ(calm.runs, 1U);
    EXPECT_FALSE(calm.failure);
}

TEST(Explore, ChildProcessesFindTheSame) {
    auto alone = explore({.seeds = 300}, lost_update);
    auto shared = explore({.seeds = 300, .processes = 2}, lost_update);
    ASSERT_TRUE(alone.failure && shared.failure);
    EXPECT_EQ(shared.failure->seed, alone.failure->seed);
    EXPECT_EQ(explore({.seeds = 40, .processes = 2}, no_lost_update).runs, 40U);
}

TEST(Explore, ADeadlockIsFound) {
    auto result = explore({.seeds = 1'000}, [](simulation&) -> task<> {
        mutex left;
        mutex right;
        auto both = [](mutex& first, mutex& second) -> task<> {
            auto outer = co_await first.lock();
            auto inner = co_await second.lock();
        };
        co_await with_scope([&](scope& s) -> task<> {
            s.spawn([&]() -> task<> { co_await both(left, right); });
            s.spawn([&]() -> task<> { co_await both(right, left); });
            co_return;
        });
    });
    ASSERT_TRUE(result.failure);
    EXPECT_EQ(result.failure->kind, failure_kind::deadlock);
    EXPECT_NE(result.failure->what.find("waits on mutex.lock"), std::string::npos) << result.failure->what;
}

TEST(Explore, WhatAnExpectationOfOnesOwnFindsIsAFailure) {
    int drawn = 0;
    auto result = explore({.seeds = 100, .check = [&]() -> std::string { return drawn == 4 ? "a four" : ""; }},
                          [&](simulation& sim) -> task<> {
                              drawn = static_cast<int>(sim.draw(5));
                              co_return;
                          });
    ASSERT_TRUE(result.failure);
    EXPECT_EQ(result.failure->kind, failure_kind::check);
    EXPECT_EQ(result.failure->what, "a four");
}

TEST(Explore, WhatIsLeftBehindIsAFailure) {
    auto task_left = explore({.seeds = 5, .shrink = false}, [](simulation& sim) -> task<> {
        sim.spawn([]() -> task<> { co_await std::suspend_always{}; });  // nobody resumes it, and no stop reaches it
        co_await sleep_for(1s);
    });
    ASSERT_TRUE(task_left.failure);
    EXPECT_EQ(task_left.failure->kind, failure_kind::leak);
    EXPECT_NE(task_left.failure->what.find("waits on foreign awaitable"), std::string::npos) << task_left.failure->what;

    std::vector<int> opened;
    auto descriptor_left = explore({.seeds = 5, .shrink = false}, [&](simulation&) -> task<> {
        opened.push_back(::open("/dev/null", O_RDONLY | O_CLOEXEC));
        co_return;
    });
    for (int fd : opened) ::close(fd);
    ASSERT_TRUE(descriptor_left.failure);
    EXPECT_EQ(descriptor_left.failure->kind, failure_kind::leak);
}

TEST(Explore, WhatAGuardrailFindsIsAFailure) {
    auto result = explore({.seeds = 5, .shrink = false}, [](simulation&) -> task<> {
        sync_mutex lock;
        std::lock_guard held{lock};
        co_await yield();
    });
    ASSERT_TRUE(result.failure);
    EXPECT_EQ(result.failure->kind, failure_kind::guardrail);
    EXPECT_NE(result.failure->what.find("guard-across-suspension"), std::string::npos);
}

TEST(Explore, AProgramThatIsNotDeterministicIsToldSo) {
    int run = 0;
    auto result = explore({.seeds = 5, .twice = true}, [&](simulation&) -> task<> {
        for (int i = ++run; i > 0; --i) co_await yield();
    });
    ASSERT_TRUE(result.failure);
    EXPECT_EQ(result.failure->kind, failure_kind::not_deterministic);
}

TEST(ExploreDeathTest, ARunThatEndsTheProcessTellsItsSeed) {
    EXPECT_DEATH(explore({.seeds = 3, .sim = {.seed = 77}},
                         [](simulation&) -> task<> {
                             std::abort();
                             co_return;
                         }),
                 "BELAY_SEED=77");
}

// ---- with GoogleTest ---------------------------------------------------------------------------------------------

BELAY_TEST_SIM(BelayTestSim, RunsTheBodyUnderManySeeds, .seeds = 20) {
    auto [tx, rx] = channel<int>(1);
    co_await with_scope([&](scope& s) -> task<> {
        s.spawn(
            [](sender<int> to) -> task<> {
                for (int i = 0; i < 3; ++i) CO_ASSERT_EQ(co_await to.send(i), send_status::sent);
            },
            std::move(tx));
        int next = 0;
        while (auto got = co_await rx.recv()) EXPECT_EQ(*got, next++);
        CO_ASSERT_EQ(next, 3);
        EXPECT_LT(sim.elapsed(), 1s);
    });
}

BELAY_TEST_SIM(BelayTestSim, TheClocksOfTheStandardLibraryFollowTheSimulation, .seeds = 5, .twice = true) {
    auto steady = std::chrono::steady_clock::now();
    auto calendar = std::chrono::system_clock::now();
    co_await sleep_for(24h);
    EXPECT_GE(std::chrono::steady_clock::now() - steady, 24h);
    EXPECT_LT(std::chrono::steady_clock::now() - steady, 24h + 1s);
    EXPECT_GE(std::chrono::system_clock::now() - calendar, 24h);
    co_await sleep_until(std::chrono::steady_clock::now() + 1h);
    EXPECT_GE(std::chrono::steady_clock::now() - steady, 25h);
    std::thread([] { EXPECT_NE(std::chrono::steady_clock::now().time_since_epoch(), 0ns); }).join();
}

TEST(BelayTestSim, TellsTheSimplestFailureOnly) {
    auto body = [](simulation& sim) -> task<> {
        try {
            co_await lost_update(sim);
        } catch (const std::exception& error) {
            ADD_FAILURE() << error.what() << " in the body";
        }
    };
    ::testing::TestPartResultArray told;
    {
        using reporter = ::testing::ScopedFakeTestPartResultReporter;
        reporter kept{reporter::INTERCEPT_ONLY_CURRENT_THREAD, &told};
        run_simulated_test({.seeds = 500}, body);
    }
    ASSERT_EQ(told.size(), 1);
    std::string text = told.GetTestPartResult(0).message();
    EXPECT_NE(text.find("money is lost in the body"), text.npos) << text;
    EXPECT_NE(text.find("1 of "), text.npos) << text;
}

BELAY_TEST(BelayTest, RunsTheBodyOnARuntime) {
    auto handle = test_runtime().spawn([]() -> task<int> {
        co_await sleep_for(1ms);
        co_return 3;
    });
    CO_ASSERT_EQ(co_await handle.join(), 3);
    CO_ASSERT_TRUE(true) << "with a message";
    CO_EXPECT_THROW(co_await [&]() -> task<> { throw std::runtime_error("mine"); }(), std::runtime_error);
}

template <class F>
std::string failures_of(F&& body, const test_options& options = {}) {
    ::testing::TestPartResultArray told;
    {
        using reporter = ::testing::ScopedFakeTestPartResultReporter;
        reporter kept{reporter::INTERCEPT_ALL_THREADS, &told};
        run_test(std::forward<F>(body), options);
    }
    std::string text;
    for (int i = 0; i < told.size(); ++i) text += told.GetTestPartResult(i).message();
    return text;
}

TEST(BelayTest, FailsForWhatIsLeft) {
    EXPECT_EQ(failures_of([]() -> task<> { co_return; }), "");
    EXPECT_NE(failures_of([]() -> task<> {
                  throw std::runtime_error("mine");
                  co_return;
              }).find("the body threw: mine"),
              std::string::npos);
    EXPECT_NE(failures_of([]() -> task<> {
                  test_runtime().spawn([]() -> task<> { co_await sleep_for(1h); });
                  co_return;
              }).find("tasks are left"),
              std::string::npos);
    // One worker: another one would unlock what it has not locked, of which ThreadSanitizer complains first.
    test_options one_worker;
    one_worker.runtime.workers = 1;
    EXPECT_NE(failures_of(
                  []() -> task<> {
                      sync_mutex lock;
                      std::lock_guard held{lock};
                      co_await yield();
                  },
                  one_worker)
                  .find("guard-across-suspension"),
              std::string::npos);
    int fd = -1;
    EXPECT_NE(failures_of([&]() -> task<> {
                  fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
                  co_return;
              }).find("descriptors were not closed"),
              std::string::npos);
    ::close(fd);
    EXPECT_NE(failures_of([]() -> task<> {
                  CO_ASSERT_EQ(1, 2) << "no";
                  ADD_FAILURE() << "is not reached";
              }).find("no"),
              std::string::npos);
}

TEST(Explore, PermitsThatAreNotGivenBackAreFound) {
    auto result = explore({.seeds = 1}, [](simulation&) -> task<> {
        alignas(semaphore_permit) std::byte place[sizeof(semaphore_permit)];  // whose end ends no permit
        semaphore permits{3};
        auto permit = co_await permits.acquire(2);
        static_cast<void>(new (place) semaphore_permit{std::move(permit)});
    });
    ASSERT_TRUE(result.failure);
    EXPECT_NE(result.failure->what.find("2 permits were not given back"), std::string::npos) << result.failure->what;
}

#if defined(__SANITIZE_THREAD__)
constexpr bool under_tsan = true;
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
constexpr bool under_tsan = true;
#else
constexpr bool under_tsan = false;
#endif
#else
constexpr bool under_tsan = false;
#endif

volatile bool end_of_it = false;  // volatile: no compiler may conclude anything from it

/// Deeper than any stack.
int descend(int depth) {
    volatile char used[1024];
    used[0] = static_cast<char>(depth);
    return end_of_it ? 0 : descend(depth + 1) + used[0];
}

TEST(ExploreDeathTest, AStackThatOverflowsTellsItsSeed) {
    if (under_tsan) GTEST_SKIP() << "ThreadSanitizer overflows the stack once more while it reports this, and tells nobody";
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_DEATH(explore({.seeds = 1, .sim = {.seed = 43}},
                         [](simulation&) -> task<> {
                             if (descend(0) == 1) co_await yield();
                             co_return;
                         }),
                 "BELAY_SEED=43");
}

TEST(ExploreDeathTest, AStepThatHangsTellsItsSeed) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_DEATH(explore({.seeds = 1, .sim = {.seed = 42}, .step_limit = 1s},
                         [](simulation&) -> task<> {
                             while (!end_of_it) {}
                             co_return;
                         }),
                 "has not ended for 1 s(.|\n)*BELAY_SEED=42");
    EXPECT_THROW(explore({.step_limit = 0s}, [](simulation&) -> task<> { co_return; }), std::invalid_argument);
}

TEST(BelayTestDeathTest, ABodyThatHangsIsEndedWithItsTasks) {
    EXPECT_DEATH(run_test(
                     []() -> task<> {
                         event never;
                         co_await never.wait();
                     },
                     {.limit = std::chrono::seconds{1}}),
                 "has not ended after 1 s.*task 1, spawned at .*waits on event");
}

}  // namespace
}  // namespace belay::kit
