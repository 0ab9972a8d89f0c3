// The guardrail "lock" in a running runtime: which task is told to hold a sync_mutex, and where. guard_locks_test.cpp has the locks of the
// C library.
#include <belay/observability/guardrails.hpp>

#include <belay/runtime/detail/held_guards.hpp>
#include <belay/runtime/runtime.hpp>
#include <belay/runtime/scope.hpp>
#include <belay/runtime/simulation.hpp>
#include <belay/runtime/sleep.hpp>
#include <belay/runtime/this_task.hpp>
#include <belay/runtime/timeout.hpp>
#include <belay/runtime/yield.hpp>
#include <belay/sync/sync_mutex.hpp>
#include <belay/tests/observability/capture_sink.hpp>
#include <belay/tests/observability/guarded_runtime.hpp>

#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <source_location>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace belay {
namespace {

using namespace std::chrono_literals;
using test::place;
using test::with_policy;

TEST(GuardAcrossSuspension, NamesTheLockAndTheSuspension) {
    test::captured_reports captured;
    runtime rt{with_policy("all=log", 1)};  // one worker: the task comes back to the thread that has to unlock
    sync_mutex mutex;
    auto locked = std::source_location::current().line() + 2;
    rt.block_on([&]() -> task<> {
        sync_lock lock{mutex};
        co_await yield();
    });
    auto reports = captured.sink->of(guardrail::guard_across_suspension);
    ASSERT_EQ(reports.size(), 1U);
    EXPECT_EQ(test::missing_part(reports[0]), "");
    auto text = reports[0].to_text();
    EXPECT_NE(text.find(place(locked)), std::string::npos) << text;
    EXPECT_NE(text.find(place(locked + 1)), std::string::npos) << text;
}

TEST(GuardAcrossSuspension, LocksThatEndBeforeTheSuspensionAreSilent) {
    test::captured_reports captured;
    runtime rt{with_policy("all=log")};
    sync_mutex mutex;
    sync_guarded<int> counter;
    rt.block_on([&]() -> task<> {
        for (int i = 0; i < 1000; ++i) {
            {
                sync_lock lock{mutex};
            }
            counter.with([](int& n) { ++n; });
            if (mutex.try_lock()) mutex.unlock();
            co_await yield();
        }
    });
    EXPECT_EQ(captured.sink->written(), 0U);
}

task<> inner(std::uint_least32_t* suspends) {
    *suspends = std::source_location::current().line() + 1;
    co_await yield();
}

task<> outer(sync_mutex* mutex, std::uint_least32_t* awaits, std::uint_least32_t* suspends) {
    sync_lock lock{*mutex};
    *awaits = std::source_location::current().line() + 1;
    co_await inner(suspends);
}

TEST(GuardAcrossSuspension, TheGuardIsToEndWhereTheFunctionThatLockedAwaits) {
    test::captured_reports captured;
    std::uint_least32_t awaits = 0;
    std::uint_least32_t suspends = 0;
    {
        runtime rt{with_policy("all=log", 1)};
        sync_mutex mutex;
        rt.block_on(outer(&mutex, &awaits, &suspends));
    }
    auto reports = captured.sink->of(guardrail::guard_across_suspension);
    ASSERT_EQ(reports.size(), 1U);
    EXPECT_NE(reports[0].to_text().find(place(suspends)), std::string::npos) << reports[0].to_text();
    EXPECT_NE(reports[0].fix.find("before line " + std::to_string(awaits) + " of belay::outer("), std::string::npos)
        << reports[0].fix;
}

/// The reports of a program on one worker, when all of it is over.
template <class F>
std::vector<report> reports_of_locks(F program) {
    test::captured_reports captured;
    {
        runtime rt{with_policy("all=log", 1)};
        rt.block_on(program);
    }
    for (const auto& r : captured.sink->of(guardrail::guard_across_suspension)) EXPECT_EQ(test::missing_part(r), "");
    return captured.sink->of(guardrail::guard_across_suspension);
}

TEST(GuardAcrossSuspension, OfTwoLambdasInOneFunctionTheOneThatLockedIsNamed) {
    sync_mutex mutex;
    std::uint_least32_t awaits = 0;
    auto reports = reports_of_locks([&]() -> task<> {
        auto suspends = []() -> task<> { co_await yield(); };
        auto locks = [&]() -> task<> {
            sync_lock lock{mutex};
            awaits = std::source_location::current().line() + 1;
            co_await suspends();
        };
        co_await locks();
    });
    ASSERT_EQ(reports.size(), 1U);
    EXPECT_NE(reports[0].fix.find("before line " + std::to_string(awaits) + " of "), std::string::npos) << reports[0].fix;
}

TEST(GuardAcrossSuspension, MoreLocksThanCanBeKnownAreReportedAllTheSame) {
    std::array<sync_mutex, detail::held_guards::capacity + 1> mutexes;
    auto reports = reports_of_locks([&]() -> task<> {
        for (auto& m : mutexes) m.lock();
        for (std::size_t i = 0; i + 1 < mutexes.size(); ++i) mutexes[i].unlock();
        co_await yield();
        mutexes.back().unlock();
    });
    ASSERT_EQ(reports.size(), 1U);
    EXPECT_NE(reports[0].what.find("suspended while it held synchronous locks, too many"), std::string::npos) << reports[0].what;
    EXPECT_NE(reports[0].task_id, 0U);
}

// ---- several tasks in one poll ---------------------------------------------------------------------------------

task<> forgets_to_unlock(sync_mutex* mutex) {
    mutex->lock();
    co_return;
}

TEST(GuardAcrossSuspension, ALockThatATaskEndsWithIsItsOwnAlsoWhereItsParentGoesOn) {
    sync_mutex mutex;
    std::uint_least32_t spawned = 0;
    std::uint64_t parent = 0;
    auto reports = reports_of_locks([&]() -> task<> {
        parent = this_task::id();
        co_await with_scope([&](scope& s) -> task<> {
            spawned = std::source_location::current().line() + 1;
            s.spawn(forgets_to_unlock, &mutex);
            co_return;
        });
        co_await yield();
        mutex.unlock();  // the thread that locked it
    });
    ASSERT_EQ(reports.size(), 1U);
    EXPECT_NE(reports[0].what.find("ended while it held 1 synchronous lock"), std::string::npos) << reports[0].to_text();
    EXPECT_NE(reports[0].task_id, 0U);
    EXPECT_NE(reports[0].task_id, parent);
    EXPECT_NE(reports[0].spawned.find(place(spawned)), std::string::npos) << reports[0].to_text();
    EXPECT_NE(reports[0].to_text().find("forgets_to_unlock("), std::string::npos) << reports[0].to_text();
}

TEST(GuardAcrossSuspension, TwoTasksThatEndInOnePollAreToldApart) {
    sync_mutex first;
    sync_mutex second;
    auto reports = reports_of_locks([&]() -> task<> {
        auto another_place = [](sync_mutex* mutex) -> task<> {  // what is locked at one place is reported once
            mutex->lock();
            co_return;
        };
        co_await timeout(1h, forgets_to_unlock(&first));
        co_await timeout(1h, another_place(&second));
        co_await yield();
        first.unlock();
        second.unlock();
    });
    ASSERT_EQ(reports.size(), 2U);
    for (const auto& r : reports)
        EXPECT_NE(r.what.find("ended while it held 1 synchronous lock"), std::string::npos) << r.to_text();
}

TEST(GuardAcrossSuspension, OneThatEndsWithNothingTakesNobodysName) {
    std::array<sync_mutex, 4> mutexes;
    auto locks_at = [](sync_mutex* mutex, std::source_location at) -> task<> {
        mutex->lock(at);
        co_return;
    };
    auto reports = reports_of_locks([&]() -> task<> {
        co_await timeout(1h, locks_at(&mutexes[0], std::source_location::current()));
        co_await timeout(1h, locks_at(&mutexes[1], std::source_location::current()));
        co_await timeout(1h, locks_at(&mutexes[2], std::source_location::current()));
        co_await timeout(1h, locks_at(&mutexes[3], std::source_location::current()));
        co_await timeout(1h, []() -> task<> { co_return; }());
        co_await yield();
        for (auto& m : mutexes) m.unlock();
    });
    ASSERT_EQ(reports.size(), 4U);
    for (const auto& r : reports) {
        EXPECT_NE(r.what.find("ended while it held 1 synchronous lock"), std::string::npos) << r.what;
        EXPECT_NE(r.task_id, 0U) << r.to_text();
    }
}

/// An argument: it goes when the task has ended.
struct locks_at_its_end {
    sync_mutex* mutex;
    explicit locks_at_its_end(sync_mutex* m) noexcept : mutex{m} {}
    locks_at_its_end(locks_at_its_end&& other) noexcept : mutex{std::exchange(other.mutex, nullptr)} {}
    ~locks_at_its_end() {
        if (mutex != nullptr) mutex->lock();
    }
};
task<> locks_in_the_end(locks_at_its_end, sync_mutex* another) {
    if (another != nullptr) another->lock();
    co_return;
}

/// Spawned where nobody goes on in the poll in which it ends.
std::vector<report> reports_of_spawned(sync_mutex* in_the_end, sync_mutex* before) {
    test::captured_reports captured;
    {
        runtime rt{with_policy("all=log", 1)};
        rt.spawn(locks_in_the_end, locks_at_its_end{in_the_end}, before);
        EXPECT_TRUE(rt.shutdown(60s).clean());
    }
    return captured.sink->of(guardrail::guard_across_suspension);
}

TEST(GuardAcrossSuspension, WhatADestructorLocksIsHeldByATaskThatHasEnded) {
    static auto& left_locked = *new sync_mutex;  // by a thread that has ended: it cannot be destroyed
    auto reports = reports_of_spawned(&left_locked, nullptr);
    ASSERT_EQ(reports.size(), 1U);
    EXPECT_EQ(reports[0].what, "a task ended while it held 1 synchronous lock") << reports[0].to_text();
}

TEST(GuardAcrossSuspension, WhatADestructorLocksIsTheTasksLikeWhatItHasLockedItself) {
    static auto& first = *new sync_mutex;  // as above
    static auto& second = *new sync_mutex;
    auto reports = reports_of_spawned(&second, &first);
    ASSERT_EQ(reports.size(), 1U);
    EXPECT_NE(reports[0].what.find(" ended while it held 2 synchronous locks"), std::string::npos) << reports[0].to_text();
    EXPECT_NE(reports[0].task_id, 0U);
}

TEST(GuardAcrossSuspension, ATaskThatAnInjectedErrorEndsIsReportedThen) {
    test::captured_reports captured;
    sync_mutex mutex;
    simulation* program = nullptr;
    bool waits = false;
    bool gone = false;
    std::size_t reports_then = 0;
    struct forgets {
        sync_mutex& mutex;
        bool& gone;
        ~forgets() {
            mutex.lock();
            gone = true;
        }
    };
    auto look = [&](std::size_t) {
        if (std::exchange(waits, false)) {
            EXPECT_TRUE(program->fail_task(std::make_exception_ptr(std::runtime_error{"injected"})));
        }
        if (std::exchange(gone, false)) reports_then = captured.sink->of(guardrail::guard_across_suspension).size();
    };
    simulation sim{{.how = interleaving::calm, .on_step = look, .guardrails = "all=log"}};
    program = &sim;
    sim.block_on(with_scope({.on_error = on_error::isolate}, [&](scope& s) -> task<> {
        s.spawn([&]() -> task<> {
            forgets at_the_end{mutex, gone};
            waits = true;
            co_await sleep_for(1h);
        });
        co_return;
    }));
    mutex.unlock();
    EXPECT_EQ(reports_then, 1U);
    auto reports = captured.sink->of(guardrail::guard_across_suspension);
    ASSERT_EQ(reports.size(), 1U);
    EXPECT_NE(reports[0].what.find(" ended while it held 1 synchronous lock"), std::string::npos) << reports[0].what;
    EXPECT_NE(reports[0].task_id, 0U);
}

TEST(GuardAcrossSuspension, ALockAroundABranchIsThatOfTheTaskThatWaits) {
    sync_mutex mutex;
    std::uint_least32_t waits = 0;
    auto reports = reports_of_locks([&]() -> task<> {
        sync_lock lock{mutex};
        waits = std::source_location::current().line() + 1;
        co_await timeout(1h, yield());
    });
    ASSERT_EQ(reports.size(), 1U);
    EXPECT_NE(reports[0].what.find("suspended while it held"), std::string::npos) << reports[0].to_text();
    EXPECT_NE(reports[0].to_text().find(place(waits)), std::string::npos) << reports[0].to_text();
}

task<> keeps(std::unique_lock<sync_mutex>) { co_return; }

TEST(GuardAcrossSuspension, WhatIsGivenBackBeforeThePollEndsIsSilent) {
    sync_mutex mutex;
    auto reports = reports_of_locks([&]() -> task<> {
        {
            sync_lock around_branches{mutex};
            co_await with_scope([](scope&) -> task<> { co_return; });
            co_await timeout(1h, []() -> task<> { co_return; }());
        }
        co_await with_scope([&](scope& s) -> task<> {
            s.spawn([&] { return keeps(std::unique_lock{mutex}); });  // a parameter lives as long as the frame
            co_return;
        });
        co_await timeout(1h, forgets_to_unlock(&mutex));
        mutex.unlock();  // in time, though by another task
    });
    EXPECT_EQ(reports.size(), 0U);
}

}  // namespace
}  // namespace belay
