// belay::guard, which this program is linked with: whatever lock a task holds when it suspends is reported with the place where
// it was locked, and whatever it gave back before is not.
#include <belay/observability/guardrails.hpp>
#include <belay/runtime/block_in_place.hpp>
#include <belay/runtime/blocking.hpp>
#include <belay/runtime/yield.hpp>
#include <belay/sync/mutex.hpp>
#include <belay/sync/sync_mutex.hpp>
#include <belay/tests/observability/guarded_runtime.hpp>

#include <gtest/gtest.h>
#include <pthread.h>

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <vector>

// ThreadSanitizer reports the same mistakes, of synchronous locks, and would fail what makes them on purpose.
extern "C" const char* __tsan_default_options() { return "detect_deadlocks=0"; }  // NOLINT(bugprone-reserved-identifier)

namespace belay {
namespace {

using namespace std::chrono_literals;
using test::text_of;
using test::with_policy;

/// What is reported when a task holds what `hold` returns across a suspension.
template <class F>
std::vector<report> held_across(F hold) {
    test::captured_reports captured;
    runtime rt{with_policy("all=log,stall=off,block=off", 1)};  // one worker: the lock is given back by the thread that took it
    rt.block_on([&]() -> task<> {
        auto held = hold();
        co_await yield();
    });
    for (const auto& r : captured.sink->of(guardrail::guard_across_suspension)) EXPECT_EQ(test::missing_part(r), "");
    return captured.sink->of(guardrail::guard_across_suspension);
}

/// What is reported of a task that does `work` and then suspends.
template <class F>
std::size_t reports_after(F work) {
    test::captured_reports captured;
    runtime rt{with_policy("all=log,stall=off,block=off", 1)};
    rt.block_on([&]() -> task<> {
        work();
        co_await yield();
    });
    return captured.sink->written();
}

struct pthread_guard {
    pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
    int (*take)(pthread_mutex_t*);
    explicit pthread_guard(int (*how)(pthread_mutex_t*)) : take{how} { EXPECT_EQ(take(&m), 0); }
    pthread_guard(const pthread_guard&) = delete;
    pthread_guard& operator=(const pthread_guard&) = delete;
    ~pthread_guard() { ::pthread_mutex_unlock(&m); }
};
struct rwlock_guard {
    pthread_rwlock_t m = PTHREAD_RWLOCK_INITIALIZER;
    explicit rwlock_guard(int (*how)(pthread_rwlock_t*)) { EXPECT_EQ(how(&m), 0); }
    rwlock_guard(const rwlock_guard&) = delete;
    rwlock_guard& operator=(const rwlock_guard&) = delete;
    ~rwlock_guard() { ::pthread_rwlock_unlock(&m); }
};
struct spin_guard {
    pthread_spinlock_t m{};
    explicit spin_guard(int (*how)(pthread_spinlock_t*)) {
        ::pthread_spin_init(&m, PTHREAD_PROCESS_PRIVATE);
        EXPECT_EQ(how(&m), 0);
    }
    spin_guard(const spin_guard&) = delete;
    spin_guard& operator=(const spin_guard&) = delete;
    ~spin_guard() {
        ::pthread_spin_unlock(&m);
        ::pthread_spin_destroy(&m);
    }
};

TEST(GuardLocks, TheGuardIsThere) {
    runtime rt{with_policy("", 1)};
    EXPECT_TRUE(guardrails::guard_attached());
}

TEST(GuardLocks, EveryLockOfTheStandardLibraryIsSeen) {
    std::mutex plain;
    std::recursive_mutex recursive;
    std::timed_mutex timed;
    std::shared_mutex shared;
    std::shared_timed_mutex shared_timed;
    EXPECT_EQ(held_across([&] { return std::unique_lock{plain}; }).size(), 1U);
    EXPECT_EQ(held_across([&] { return std::unique_lock{plain, std::try_to_lock}; }).size(), 1U);
    EXPECT_EQ(held_across([&] { return std::make_unique<std::lock_guard<std::mutex>>(plain); }).size(), 1U);
    EXPECT_EQ(held_across([&] { return std::make_unique<std::scoped_lock<std::mutex>>(plain); }).size(), 1U);
    EXPECT_EQ(held_across([&] { return std::unique_lock{recursive}; }).size(), 1U);
    EXPECT_EQ(held_across([&] { return std::unique_lock{timed, 1h}; }).size(), 1U);
    EXPECT_EQ(held_across([&] { return std::unique_lock{shared}; }).size(), 1U);
    EXPECT_EQ(held_across([&] { return std::shared_lock{shared}; }).size(), 1U);
    EXPECT_EQ(held_across([&] { return std::shared_lock{shared, std::try_to_lock}; }).size(), 1U);
    EXPECT_EQ(held_across([&] { return std::shared_lock{shared_timed, 1h}; }).size(), 1U);
    EXPECT_EQ(held_across([&] { return std::unique_lock{shared_timed, 1h}; }).size(), 1U);
}

TEST(GuardLocks, EveryLockOfTheCLibraryIsSeen) {
    EXPECT_EQ(held_across([] { return std::make_unique<pthread_guard>(&::pthread_mutex_lock); }).size(), 1U);
    EXPECT_EQ(held_across([] { return std::make_unique<pthread_guard>(&::pthread_mutex_trylock); }).size(), 1U);
    EXPECT_EQ(held_across([] { return std::make_unique<rwlock_guard>(&::pthread_rwlock_rdlock); }).size(), 1U);
    EXPECT_EQ(held_across([] { return std::make_unique<rwlock_guard>(&::pthread_rwlock_wrlock); }).size(), 1U);
    EXPECT_EQ(held_across([] { return std::make_unique<rwlock_guard>(&::pthread_rwlock_tryrdlock); }).size(), 1U);
    EXPECT_EQ(held_across([] { return std::make_unique<rwlock_guard>(&::pthread_rwlock_trywrlock); }).size(), 1U);
    EXPECT_EQ(held_across([] { return std::make_unique<spin_guard>(&::pthread_spin_lock); }).size(), 1U);
    EXPECT_EQ(held_across([] { return std::make_unique<spin_guard>(&::pthread_spin_trylock); }).size(), 1U);
}

[[gnu::noinline]] std::unique_lock<std::mutex> lock_in_a_named_function(std::mutex& m) {
    std::unique_lock lock{m};
    asm volatile("" ::: "memory");  // no tail call: this frame must be on the stack
    return lock;
}

TEST(GuardLocks, TheReportNamesTheFunctionThatLockedAndTheLineThatSuspends) {
    test::captured_reports captured;
    std::mutex m;
    runtime rt{with_policy("all=log,stall=off,block=off", 1)};
    std::uint_least32_t suspends = 0;
    rt.block_on([&]() -> task<> {
        auto held = lock_in_a_named_function(m);
        suspends = std::source_location::current().line() + 1;
        co_await yield();
    });
    auto text = text_of(captured, guardrail::guard_across_suspension);
    EXPECT_NE(text.find("lock_in_a_named_function"), std::string::npos) << text;
    EXPECT_NE(text.find(test::place(suspends)), std::string::npos) << text;
}

TEST(GuardLocks, ALockThatKnowsItsPlaceIsReportedOnce) {
    test::captured_reports captured;
    sync_mutex m;
    runtime rt{with_policy("all=log,stall=off,block=off", 1)};
    std::uint_least32_t locks = 0;
    rt.block_on([&]() -> task<> {
        locks = std::source_location::current().line() + 1;
        sync_lock held{m};
        co_await yield();
    });
    ASSERT_EQ(captured.sink->written(), 1U);
    auto text = text_of(captured, guardrail::guard_across_suspension);
    EXPECT_NE(text.find("1 synchronous lock"), std::string::npos) << text;
    EXPECT_NE(text.find(test::place(locks)), std::string::npos) << text;
}

task<> inner() { co_await yield(); }

task<> outer(std::mutex* mutex, std::uint_least32_t* awaits) {
    std::scoped_lock lock{*mutex};
    *awaits = std::source_location::current().line() + 1;
    co_await inner();
}

TEST(GuardLocks, TheGuardIsToEndWhereTheFunctionThatLockedAwaits) {
    test::captured_reports captured;
    std::uint_least32_t awaits = 0;
    {
        runtime rt{with_policy("all=log,stall=off,block=off", 1)};
        std::mutex m;
        rt.block_on(outer(&m, &awaits));
    }
    auto reports = captured.sink->of(guardrail::guard_across_suspension);
    ASSERT_EQ(reports.size(), 1U);
    EXPECT_NE(reports[0].fix.find("before line " + std::to_string(awaits) + " of belay::outer("), std::string::npos)
        << reports[0].to_text();
}

task<> lambda_inside(std::mutex* mutex, std::uint_least32_t* awaits) {
    std::scoped_lock lock{*mutex};
    auto suspends = []() -> task<> { co_await yield(); };
    *awaits = std::source_location::current().line() + 1;
    co_await suspends();
}

TEST(GuardLocks, AFunctionIsNotTakenForALambdaInIt) {
    test::captured_reports captured;
    std::uint_least32_t awaits = 0;
    {
        runtime rt{with_policy("all=log,stall=off,block=off", 1)};
        std::mutex m;
        rt.block_on(lambda_inside(&m, &awaits));
    }
    auto reports = captured.sink->of(guardrail::guard_across_suspension);
    ASSERT_EQ(reports.size(), 1U);
    EXPECT_NE(reports[0].fix.find("before line " + std::to_string(awaits) + " of belay::lambda_inside("), std::string::npos)
        << reports[0].to_text();
}

TEST(GuardLocks, ALambdaThatLockedIsNamed) {
    test::captured_reports captured;
    std::uint_least32_t awaits = 0;
    {
        runtime rt{with_policy("all=log,stall=off,block=off", 1)};
        std::mutex m;
        rt.block_on([&]() -> task<> {
            std::scoped_lock lock{m};
            awaits = std::source_location::current().line() + 1;
            co_await inner();
        });
    }
    auto reports = captured.sink->of(guardrail::guard_across_suspension);
    ASSERT_EQ(reports.size(), 1U);
    EXPECT_NE(reports[0].fix.find("before line " + std::to_string(awaits) + " of "), std::string::npos) << reports[0].to_text();
}

// ---- whose await it is, of functions with one name --------------------------------------------------------------

struct where_held {
    std::mutex mutex;
    std::uint_least32_t awaits = 0;
};
std::string fix_of(task<> (*holds)(where_held&), where_held& held) {
    test::captured_reports captured;
    {
        runtime rt{with_policy("all=log,stall=off,block=off", 1)};
        rt.block_on(holds(held));
    }
    auto reports = captured.sink->of(guardrail::guard_across_suspension);
    EXPECT_EQ(reports.size(), 1U);
    return reports.empty() ? "" : reports[0].fix;
}

template <class T>
task<> holds_in_a_template(T& held) {
    std::scoped_lock lock{held.mutex};
    held.awaits = std::source_location::current().line() + 1;
    co_await inner();
}

TEST(GuardLocks, ATemplateThatLockedIsNamed) {
    where_held held;
    auto fix = fix_of(&holds_in_a_template<where_held>, held);
    EXPECT_NE(fix.find("before line " + std::to_string(held.awaits) + " of belay::holds_in_a_template"), std::string::npos)
        << fix;
}

task<> overloaded(int /*unused*/) { co_await yield(); }
task<> overloaded(where_held& held) {
    std::scoped_lock lock{held.mutex};
    held.awaits = std::source_location::current().line() + 1;
    co_await overloaded(1);
}

TEST(GuardLocks, AnOverloadIsToldFromAnother) {
    where_held held;
    auto fix = fix_of(&overloaded, held);
    EXPECT_NE(fix.find("before line " + std::to_string(held.awaits) + " of belay::overloaded("), std::string::npos) << fix;
}

task<> walk(where_held& held, int depth) {
    if (depth == 0) co_return co_await yield();
    if (depth == 2) {
        std::scoped_lock lock{held.mutex};
        held.awaits = std::source_location::current().line() + 1;
        co_return co_await walk(held, 1);
    }
    co_await walk(held, 0);
}

TEST(GuardLocks, OfOneThatCallsItselfEachIsNamed) {
    where_held held;
    auto fix = fix_of([](where_held& h) { return walk(h, 2); }, held);
    EXPECT_NE(fix.find("and line " + std::to_string(held.awaits) + " of belay::walk("), std::string::npos) << fix;
}

TEST(GuardLocks, TwoLocksAreBothNamed) {
    std::mutex a;
    std::mutex b;
    auto reports = held_across([&] { return std::make_unique<std::scoped_lock<std::mutex, std::mutex>>(a, b); });
    ASSERT_EQ(reports.size(), 1U);
    EXPECT_NE(reports[0].what.find("2 synchronous locks"), std::string::npos) << reports[0].what;
    EXPECT_EQ(reports[0].where.size(), 3U);  // two places, and the await chain
}

TEST(GuardLocks, WhatIsGivenBackBeforeIsSilent) {
    std::mutex m;
    std::shared_mutex shared;
    std::recursive_mutex recursive;
    EXPECT_EQ(reports_after([&] { std::scoped_lock lock{m}; }), 0U);
    EXPECT_EQ(reports_after([&] { std::shared_lock lock{shared}; }), 0U);
    EXPECT_EQ(reports_after([&] {
                  std::unique_lock lock{m};
                  lock.unlock();
              }),
              0U);
    EXPECT_EQ(reports_after([&] { std::unique_lock lock{m, std::defer_lock}; }), 0U);
    EXPECT_EQ(reports_after([&] {
                  std::scoped_lock outer{recursive};
                  std::scoped_lock inner{recursive};
              }),
              0U);
    EXPECT_EQ(reports_after([&] {  // not in the order in which they were locked
                  std::mutex other;
                  std::unique_lock first{m};
                  std::unique_lock second{other};
                  first.unlock();
              }),
              0U);
    EXPECT_EQ(reports_after([&] {
                  std::condition_variable never;
                  std::unique_lock lock{m};
                  never.wait_for(lock, 1ms);
              }),
              0U);
    EXPECT_EQ(reports_after([] { std::vector<std::string> text(1000, std::string(1000, 'x')); }), 0U);
}

TEST(GuardLocks, ALockThatWasNotGotIsSilent) {
    pthread_guard held{&::pthread_mutex_lock};
    EXPECT_EQ(reports_after([&] { EXPECT_EQ(::pthread_mutex_trylock(&held.m), EBUSY); }), 0U);
    EXPECT_EQ(reports_after([&] {
                  timespec past{};
                  EXPECT_EQ(::pthread_mutex_timedlock(&held.m, &past), ETIMEDOUT);
              }),
              0U);
}

TEST(GuardLocks, WhatNoTaskHoldsIsSilent) {
    test::captured_reports captured;
    std::mutex mine;
    std::scoped_lock held{mine};  // the thread that waits in block_on is no task
    runtime rt{with_policy("all=log,stall=off,block=off", 1)};
    belay::mutex async;
    rt.block_on([&]() -> task<> {
        auto permit = co_await async.lock();
        co_await yield();
        co_await spawn_blocking([] {
            std::mutex m;
            std::scoped_lock lock{m};
        });
        block_in_place([] {
            std::mutex m;
            std::scoped_lock lock{m};
        });
        co_await yield();
    });
    EXPECT_EQ(captured.sink->written(), 0U);
}

// ---- the order of locks ------------------------------------------------------------------------------------------

std::mutex first_of_all;
std::shared_mutex second_of_all;

/// What is reported of two tasks, one after the other.
template <class F, class G>
std::vector<report> orders_of(F one, G other) {
    test::captured_reports captured;
    {
        runtime rt{with_policy("all=log,stall=off,block=off,order=log", 1)};
        for (auto work : {std::function<void()>{one}, std::function<void()>{other}}) {
            rt.block_on([&]() -> task<> {
                work();
                co_return;
            });
        }
    }
    return captured.sink->of(guardrail::lock_order);
}

TEST(GuardLocks, GlobalLocksInTwoOrdersAreReported) {
    auto reports = orders_of(
        [] {
            std::scoped_lock outer{first_of_all};
            std::scoped_lock inner{second_of_all};
        },
        [] {
            std::shared_lock outer{second_of_all};
            std::scoped_lock inner{first_of_all};
        });
    ASSERT_EQ(reports.size(), 1U);
    EXPECT_EQ(test::missing_part(reports[0]), "");
    EXPECT_NE(reports[0].to_text().find("GlobalLocksInTwoOrdersAreReported"), std::string::npos) << reports[0].to_text();
}

TEST(GuardLocks, SharedLocksDoNotWaitForEachOther) {
    static std::shared_mutex other;
    auto reports = orders_of(
        [] {
            std::shared_lock outer{second_of_all};
            std::shared_lock inner{other};
        },
        [] {
            std::shared_lock outer{other};
            std::shared_lock inner{second_of_all};
        });
    EXPECT_EQ(reports.size(), 0U);
}

TEST(GuardLocks, WhoGivesUpWaitingDeadlocksWithNobody) {
    static std::timed_mutex a;
    static std::timed_mutex b;
    auto reports = orders_of(
        [] {
            std::scoped_lock outer{a};
            EXPECT_TRUE(b.try_lock_for(1s));
            b.unlock();
        },
        [] {
            std::scoped_lock outer{b};
            EXPECT_TRUE(a.try_lock_for(1s));
            a.unlock();
        });
    EXPECT_EQ(reports.size(), 0U);
}

TEST(GuardLocks, ASharedLockAboveKeepsNobodyOut) {
    static std::shared_mutex above;
    static std::mutex a;
    static std::mutex b;
    auto reports = orders_of(
        [] {
            std::shared_lock outermost{above};
            std::scoped_lock outer{a};
            std::scoped_lock inner{b};
        },
        [] {
            std::shared_lock outermost{above};
            std::scoped_lock outer{b};
            std::scoped_lock inner{a};
        });
    EXPECT_EQ(reports.size(), 1U);
}

TEST(GuardLocks, OfALockThatCanBeDestroyedNobodyKnowsTheOrder) {
    struct pair {
        std::mutex a;
        std::mutex b;
    };
    auto heap = std::make_unique<pair>();
    auto reports = orders_of(
        [&] {
            std::scoped_lock outer{heap->a};
            std::scoped_lock inner{heap->b};
        },
        [&] {
            std::scoped_lock outer{heap->b};
            std::scoped_lock inner{heap->a};
        });
    EXPECT_EQ(reports.size(), 0U);
}

TEST(GuardLocks, AGlobalSyncMutexIsOneLockAndNotTwo) {
    static sync_mutex ours;
    auto reports = orders_of(
        [] {
            sync_lock outer{ours};
            std::scoped_lock inner{first_of_all};
        },
        [] {
            std::scoped_lock outer{first_of_all};
            sync_lock inner{ours};
        });
    EXPECT_EQ(reports.size(), 1U);
}

}  // namespace
}  // namespace belay
