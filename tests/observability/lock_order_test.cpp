// The guardrail "order": locks that are taken in two orders are reported before anybody has deadlocked, with both places of each order;
// orders that cannot deadlock are not.
#include <belay/observability/guardrails.hpp>
#include <belay/runtime/scope.hpp>
#include <belay/runtime/this_task.hpp>
#include <belay/runtime/timeout.hpp>
#include <belay/runtime/when_all.hpp>
#include <belay/runtime/yield.hpp>
#include <belay/sync/event.hpp>
#include <belay/sync/mutex.hpp>
#include <belay/sync/sync_mutex.hpp>
#include <belay/tests/observability/guarded_runtime.hpp>

#include <gtest/gtest.h>

#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

// ThreadSanitizer reports the same mistakes, of synchronous locks, and would fail what makes them on purpose.
extern "C" const char* __tsan_default_options() { return "detect_deadlocks=0"; }  // NOLINT(bugprone-reserved-identifier)

namespace belay {
namespace {

using namespace std::chrono_literals;
using test::place;
using test::text_of;
using test::with_policy;

constexpr const char* looks = "all=log,stall=off,block=off,deadlock=off,order=log";

/// What is reported of the tasks that `work(runtime)` runs one after the other: none of them ever waits for a lock.
template <class F>
std::vector<report> found_in(F work, const char* policy = looks) {
    test::captured_reports captured;
    {
        runtime rt{with_policy(policy)};
        work(rt);
    }
    for (const auto& r : captured.sink->of(guardrail::lock_order)) EXPECT_EQ(test::missing_part(r), "");
    EXPECT_EQ(captured.sink->of(guardrail::lock_order).size(), captured.sink->written());
    return captured.sink->of(guardrail::lock_order);
}

task<> take_both(mutex& first, mutex& second) {
    auto outer = co_await first.lock();
    auto inner = co_await second.lock();
}

task<> take_both_sync(sync_mutex& first, sync_mutex& second) {
    sync_lock outer{first};
    sync_lock inner{second};
    co_return;
}

/// A task of its own, and over.
template <class... Args>
void run(runtime& rt, Args&&... args) {
    rt.block_on(std::forward<Args>(args)...);
}

TEST(LockOrder, TwoOrdersOfTwoMutexesAreReportedWithAllFourPlaces) {
    mutex a;
    mutex b;
    std::uint_least32_t lines[4]{};
    auto reports = found_in([&](runtime& rt) {
        run(rt, [&]() -> task<> {
            this_task::set_name("deposit");
            lines[0] = std::source_location::current().line() + 1;
            auto outer = co_await a.lock();
            lines[1] = std::source_location::current().line() + 1;
            auto inner = co_await b.lock();
        });
        run(rt, [&]() -> task<> {
            this_task::set_name("withdraw");
            lines[2] = std::source_location::current().line() + 1;
            auto outer = co_await b.lock();
            lines[3] = std::source_location::current().line() + 1;
            auto inner = co_await a.lock();
        });
    });
    ASSERT_EQ(reports.size(), 1U);
    EXPECT_EQ(reports[0].task_name, "withdraw");
    auto text = reports[0].to_text();
    EXPECT_NE(text.find("[lock-order]"), std::string::npos) << text;
    EXPECT_NE(text.find("and elsewhere the two are taken the other way round"), std::string::npos) << text;
    EXPECT_NE(text.find("\"deposit\" locked"), std::string::npos) << text;
    for (auto line : lines) EXPECT_NE(text.find(place(line)), std::string::npos) << line << '\n' << text;
}

TEST(LockOrder, SynchronousLocks) {
    sync_mutex a;
    sync_mutex b;
    auto reports = found_in([&](runtime& rt) {
        run(rt, [&] { return take_both_sync(a, b); });
        run(rt, [&] { return take_both_sync(b, a); });
    });
    ASSERT_EQ(reports.size(), 1U);
    EXPECT_NE(reports[0].to_text().find("take_both_sync"), std::string::npos) << reports[0].to_text();
}

task<> take_sync(sync_mutex& only) {
    sync_lock lock{only};
    co_return;
}

TEST(LockOrder, WhatATaskHoldsThatWaitsIsNotItsBranchs) {
    sync_mutex a;
    sync_mutex b;
    auto reports = found_in([&](runtime& rt) {
        run(rt, [&]() -> task<> {
            sync_lock outer{a};
            co_await timeout(1h, take_sync(b));
        });
        run(rt, [&] { return take_both_sync(b, a); });
    });
    EXPECT_EQ(reports.size(), 0U);
}

TEST(LockOrder, WhatATaskHoldsIsStillItsOwnWhenItGoesOn) {
    sync_mutex a;
    sync_mutex b;
    auto reports = found_in([&](runtime& rt) {
        run(rt, [&]() -> task<> {
            sync_lock outer{a};
            co_await timeout(1h, []() -> task<> { co_return; }());
            sync_lock inner{b};
        });
        run(rt, [&] { return take_both_sync(b, a); });
    });
    EXPECT_EQ(reports.size(), 1U);
}

TEST(LockOrder, ASynchronousAndAnAsynchronousOne) {
    mutex a;
    sync_mutex b;
    auto reports = found_in([&](runtime& rt) {
        run(rt, [&]() -> task<> {
            auto outer = co_await a.lock();
            sync_lock inner{b};
        });
        run(rt, [&]() -> task<> {
            sync_lock outer{b};
            auto inner = co_await a.lock();  // free: it does not suspend
        });
    });
    EXPECT_EQ(reports.size(), 1U);
}

TEST(LockOrder, AcrossSuspensionsAndAwaitedFunctions) {
    mutex a;
    mutex b;
    auto reports = found_in([&](runtime& rt) {
        run(rt, [&]() -> task<> {
            auto outer = co_await a.lock();
            co_await yield();
            co_await [](mutex& m) -> task<> { auto inner = co_await m.lock(); }(b);
        });
        run(rt, [&] { return take_both(b, a); });
    });
    EXPECT_EQ(reports.size(), 1U);
}

TEST(LockOrder, ACycleOfThree) {
    mutex a;
    mutex b;
    mutex c;
    auto reports = found_in([&](runtime& rt) {
        run(rt, [&] { return take_both(a, b); });
        run(rt, [&] { return take_both(b, c); });
        run(rt, [&] { return take_both(c, a); });
    });
    ASSERT_EQ(reports.size(), 1U);
    EXPECT_NE(reports[0].what.find("they are taken the other way round"), std::string::npos) << reports[0].what;
}

TEST(LockOrder, IsReportedOnce) {
    mutex a;
    mutex b;
    auto reports = found_in([&](runtime& rt) {
        for (int i = 0; i < 5; ++i) {
            run(rt, [&] { return take_both(a, b); });
            run(rt, [&] { return take_both(b, a); });
        }
    });
    EXPECT_EQ(reports.size(), 1U);
}

TEST(LockOrder, AMutexThatATaskHoldsAlready) {
    test::captured_reports captured;
    mutex m;
    runtime rt{with_policy(looks)};
    auto job = rt.spawn([&]() -> task<> {
        auto outer = co_await m.lock();
        auto inner = co_await m.lock();
    });
    test::wait_for_reports(*captured.sink, 1);
    job.request_stop();
    auto text = text_of(captured, guardrail::lock_order);
    EXPECT_NE(text.find("again, which it holds: it waits for itself"), std::string::npos) << text;
}

// ---- silent ------------------------------------------------------------------------------------------------------

TEST(LockOrderSilent, OneOrder) {
    mutex a;
    mutex b;
    sync_mutex c;
    auto reports = found_in([&](runtime& rt) {
        for (int i = 0; i < 3; ++i) {
            run(rt, [&]() -> task<> {
                auto outer = co_await a.lock();
                auto inner = co_await b.lock();
                sync_lock innermost{c};
            });
        }
    });
    EXPECT_EQ(reports.size(), 0U);
}

TEST(LockOrderSilent, OneTaskInBothOrders) {
    mutex a;
    mutex b;
    auto reports = found_in([&](runtime& rt) {
        run(rt, [&]() -> task<> {
            co_await take_both(a, b);
            co_await take_both(b, a);
        });
    });
    EXPECT_EQ(reports.size(), 0U);
}

TEST(LockOrderSilent, OneAfterTheOther) {
    mutex a;
    mutex b;
    auto one_by_one = [](mutex& first, mutex& second) -> task<> {
        { auto guard = co_await first.lock(); }
        auto guard = co_await second.lock();
    };
    auto reports = found_in([&](runtime& rt) {
        run(rt, [&] { return one_by_one(a, b); });
        run(rt, [&] { return one_by_one(b, a); });
    });
    EXPECT_EQ(reports.size(), 0U);
}

TEST(LockOrderSilent, UnderAThirdLock) {
    mutex gate;
    mutex a;
    mutex b;
    auto gated = [&](mutex& first, mutex& second) -> task<> {
        auto outermost = co_await gate.lock();
        co_await take_both(first, second);
    };
    auto reports = found_in([&](runtime& rt) {
        run(rt, [&] { return gated(a, b); });
        run(rt, [&] { return gated(b, a); });
    });
    EXPECT_EQ(reports.size(), 0U);
}

TEST(LockOrder, UnderAThirdLockNotEachTime) {
    mutex gate;
    mutex a;
    mutex b;
    auto gated = [&](mutex& first, mutex& second) -> task<> {
        auto outermost = co_await gate.lock();
        co_await take_both(first, second);
    };
    auto reports = found_in([&](runtime& rt) {
        run(rt, [&] { return gated(a, b); });
        run(rt, [&] { return gated(b, a); });
        run(rt, [&] { return take_both(a, b); });  // this one can meet the second
    });
    EXPECT_EQ(reports.size(), 1U);
}

TEST(LockOrderSilent, WhatIsOnlyTried) {
    mutex a;
    mutex b;
    auto try_second = [](mutex& first, mutex& second) -> task<> {
        auto outer = co_await first.lock();
        auto inner = second.try_lock();
        EXPECT_TRUE(inner.owns_lock());
    };
    auto reports = found_in([&](runtime& rt) {
        run(rt, [&] { return take_both(a, b); });
        run(rt, [&] { return try_second(b, a); });
    });
    EXPECT_EQ(reports.size(), 0U);
}

TEST(LockOrderSilent, BothAtOnceByTheStandardLibrary) {
    sync_mutex a;
    sync_mutex b;
    auto both = [](sync_mutex& first, sync_mutex& second) -> task<> {
        std::scoped_lock locks{first, second};
        co_return;
    };
    auto reports = found_in([&](runtime& rt) {
        run(rt, [&] { return both(a, b); });
        run(rt, [&] { return both(b, a); });
    });
    EXPECT_EQ(reports.size(), 0U);
}

TEST(LockOrderSilent, ANewLockWhereAnotherOneWas) {
    std::optional<mutex> a;
    std::optional<mutex> b;
    auto reports = found_in([&](runtime& rt) {
        for (int i = 0; i < 2; ++i) {
            a.emplace();
            b.emplace();
            run(rt, [&] { return i == 0 ? take_both(*a, *b) : take_both(*b, *a); });
        }
    });
    EXPECT_EQ(reports.size(), 0U);
}

TEST(LockOrderSilent, AGuardThatWasGivenAway) {
    mutex a;
    mutex b;
    auto reports = found_in([&](runtime& rt) {
        run(rt, [&]() -> task<> {
            event given;
            event taken;
            co_await with_scope([&](scope& s) -> task<> {
                s.spawn(
                    [&given, &taken](mutex_guard guard) -> task<> {
                        taken.set();
                        co_await given.wait();
                        guard.unlock();
                    },
                    co_await a.lock());
                co_await taken.wait();
                auto other = co_await b.lock();  // nobody who holds a waits for it
                given.set();
            });
        });
        run(rt, [&] { return take_both(b, a); });
    });
    EXPECT_EQ(reports.size(), 0U);
}

TEST(LockOrderSilent, BranchesHoldOneEach) {
    mutex a;
    mutex b;
    auto hold = [](mutex& m) -> task<> {
        auto guard = co_await m.lock();
        co_await yield();
    };
    auto reports = found_in([&](runtime& rt) {
        for (int i = 0; i < 2; ++i) run(rt, [&]() -> task<> { co_await when_all(hold(i == 0 ? a : b), hold(i == 0 ? b : a)); });
    });
    EXPECT_EQ(reports.size(), 0U);
}

TEST(LockOrderSilent, HandOverHand) {
    std::vector<mutex> chain(8);
    auto walk = [&]() -> task<> {
        auto here = co_await chain[0].lock();
        for (std::size_t i = 1; i < chain.size(); ++i) here = co_await chain[i].lock();
    };
    auto reports = found_in([&](runtime& rt) {
        for (int i = 0; i < 3; ++i) run(rt, walk);
    });
    EXPECT_EQ(reports.size(), 0U);
}

TEST(LockOrderSilent, AllowedByThePolicy) {
    mutex a;
    mutex b;
    auto reports = found_in(
        [&](runtime& rt) {
            run(rt, [&] { return take_both(a, b); });
            run(rt, [&] { return take_both(b, a); });
        },
        "all=log,stall=off,block=off,deadlock=off,order=off");
    EXPECT_EQ(reports.size(), 0U);
}

}  // namespace
}  // namespace belay
