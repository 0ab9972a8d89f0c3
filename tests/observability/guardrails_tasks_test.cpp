// Guardrails of tasks in a running runtime: leaks, lost errors and tasks that never ran; what makes them fire, and what they
// must stay silent on.
#include <belay/observability/guardrails.hpp>
#include <belay/runtime/local_runtime.hpp>
#include <belay/runtime/runtime.hpp>
#include <belay/runtime/sleep.hpp>
#include <belay/runtime/timeout.hpp>
#include <belay/runtime/yield.hpp>
#include <belay/tests/observability/guarded_runtime.hpp>

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

namespace belay {
namespace {

using namespace std::chrono_literals;
using test::compute_until_reported;
using test::place;
using test::wait_for_reports;
using test::with_policy;

// ---- leaks -----------------------------------------------------------------------------------------------------

TEST(TaskLeak, WhatDoesNotEndInTimeIsListed) {
    test::captured_reports captured;
    runtime rt{with_policy("all=log,stall=off")};
    std::atomic<bool> started{false};
    auto stubborn = [&]() -> task<> {
        started = true;
        compute_until_reported(*captured.sink);
        co_return;
    };
    auto spawned = std::source_location::current().line() + 1;
    rt.spawn(stubborn);
    while (!started) std::this_thread::yield();
    EXPECT_EQ(rt.shutdown(0s).abandoned, 1U);
    auto reports = captured.sink->of(guardrail::task_leak);
    ASSERT_EQ(reports.size(), 1U);
    EXPECT_EQ(test::missing_part(reports[0]), "");
    EXPECT_NE(reports[0].to_text().find(place(spawned)), std::string::npos) << reports[0].to_text();
}

TEST(TaskLeak, TasksThatHeedTheStopAreSilent) {
    test::captured_reports captured;
    runtime rt{with_policy("all=log")};
    for (int i = 0; i < 100; ++i) rt.spawn([]() -> task<> { co_await sleep_for(1h); });
    EXPECT_TRUE(rt.shutdown(60s).clean());
    EXPECT_EQ(captured.sink->written(), 0U);
}

// ---- lost errors -----------------------------------------------------------------------------------------------

task<> fails() {
    throw std::runtime_error("the disk is full");
    co_return;
}

TEST(LostError, AnErrorThatNobodySeesIsNamedWithItsSpawnSite) {
    test::captured_reports captured;
    runtime rt{with_policy("all=log")};
    auto spawned = std::source_location::current().line() + 1;
    rt.spawn(fails);
    wait_for_reports(*captured.sink, 1);
    auto reports = captured.sink->of(guardrail::lost_error);
    ASSERT_EQ(reports.size(), 1U);
    EXPECT_EQ(test::missing_part(reports[0]), "");
    auto text = reports[0].to_text();
    EXPECT_NE(text.find("std::runtime_error: the disk is full"), std::string::npos) << text;
    EXPECT_NE(text.find(place(spawned)), std::string::npos) << text;
}

/// What is reported of a task that `spawn` starts in an isolating scope.
std::string report_of_failure(auto spawn) {
    test::captured_reports captured;
    runtime rt{with_policy("all=log")};
    rt.block_on(with_scope({.on_error = on_error::isolate}, spawn));
    auto reports = captured.sink->of(guardrail::lost_error);
    EXPECT_EQ(reports.size(), 1U);
    return reports.empty() ? "" : reports[0].to_text();
}

struct moves_once {
    moves_once() = default;
    moves_once(moves_once&& other) : moved{other.moved} {
        if (++moved > 1) throw std::runtime_error("moved too often");
    }
    int moved = 0;
};

TEST(LostError, AResultThatCannotBeMovedOutOfItsFrameIsAnErrorOfTheTask) {
    auto text = report_of_failure([](scope& s) -> task<> {
        s.spawn([]() -> task<moves_once> { co_return moves_once{}; });
        co_return;
    });
    EXPECT_NE(text.find("moved too often"), std::string::npos) << text;
}

TEST(LostError, AnErrorThatIsRethrownIsSilent) {
    test::captured_reports captured;
    runtime rt{with_policy("all=log")};
    EXPECT_THROW(rt.block_on(fails), std::runtime_error);
    rt.block_on([]() -> task<> {
        try {
            co_await with_scope([](scope& s) -> task<> {
                s.spawn(fails);
                co_return;
            });
            ADD_FAILURE() << "the scope swallowed an error";
        } catch (const std::runtime_error&) {}
    });
    EXPECT_EQ(captured.sink->written(), 0U);
}

TEST(LostError, AnErrorThatIsJoinedIsSilent) {
    test::captured_reports captured;
    runtime rt{with_policy("all=log")};
    auto join = [](auto handle) -> task<> {
        try {
            co_await handle.join();
            ADD_FAILURE() << "no error";
        } catch (const std::runtime_error&) {}
    };
    rt.block_on(join(rt.spawn(fails)));  // the scope of all isolates
    rt.block_on(with_scope({.on_error = on_error::isolate}, [&](scope& s) -> task<> {
        co_await join(s.spawn(fails));
        auto ended = s.spawn(fails);
        while (!ended.ended()) co_await yield();
        EXPECT_THROW(co_await ended.join_optional(), std::runtime_error);
    }));
    EXPECT_EQ(captured.sink->written(), 0U) << test::text_of(captured, guardrail::lost_error);
}

TEST(LostError, AFurtherErrorThatIsJoinedIsSilent) {
    test::captured_reports captured;
    runtime rt{with_policy("all=log")};
    std::array<join_handle<>, 2> handles;
    std::atomic<int> begun{0};
    auto fails_with_the_other = [&]() -> task<> {
        for (++begun; begun < 2;) std::this_thread::yield();
        throw std::runtime_error("the disk is full");
        co_return;
    };
    rt.block_on([&]() -> task<> {
        EXPECT_THROW(co_await with_scope([&](scope& s) -> task<> {
                         for (auto& handle : handles) handle = s.spawn(fails_with_the_other);
                         co_return;
                     }),
                     std::runtime_error);
        for (auto& handle : handles)
            EXPECT_THROW(co_await handle.join(), std::runtime_error);  // the scope rethrows one of the two
    });
    EXPECT_EQ(captured.sink->written(), 0U) << test::text_of(captured, guardrail::lost_error);
}

TEST(LostError, AnErrorIsLostWhenItsHandleGoesWithoutAJoin) {
    test::captured_reports captured;
    join_handle<> handle;
    std::uint_least32_t spawned = 0;
    {
        runtime rt{with_policy("all=log")};
        rt.block_on(with_scope({.name = "newsletters of today", .on_error = on_error::isolate}, [&](scope& s) -> task<> {
            spawned = std::source_location::current().line() + 1;
            handle = s.spawn(fails);
            co_return;
        }));
        EXPECT_EQ(captured.sink->written(), 0U) << "somebody may join it yet";
    }
    handle = {};
    auto reports = captured.sink->of(guardrail::lost_error);
    ASSERT_EQ(reports.size(), 1U);
    auto text = reports[0].to_text();
    EXPECT_NE(reports[0].what.find("in scope \"newsletters of today\": std::runtime_error: the disk is full"), std::string::npos)
        << text;
    EXPECT_NE(text.find(place(spawned)), std::string::npos) << text;
}

// ---- never awaited ---------------------------------------------------------------------------------------------

task<int> answer() { co_return 42; }

TEST(NeverAwaited, ATaskThatIsDroppedIsNamed) {
    test::captured_reports captured;
    runtime rt{with_policy("all=log")};
    rt.block_on([]() -> task<> {
        { auto dropped = answer(); }
        co_return;
    });
    auto reports = captured.sink->of(guardrail::never_awaited);
    ASSERT_EQ(reports.size(), 1U);
    EXPECT_EQ(test::missing_part(reports[0]), "");
    EXPECT_NE(reports[0].to_text().find("answer()"), std::string::npos) << reports[0].to_text();
}

TEST(NeverAwaited, ATimeoutThatIsDroppedIsReportedOnceWithItsTask) {
    test::captured_reports captured;
    auto before = guardrails::guardrail_counts()[guardrail::never_awaited];
    runtime rt{with_policy("all=log")};
    rt.block_on([]() -> task<> {
        { auto dropped = timeout(1s, timeout(2s, answer())); }
        { auto another = answer(); }
        co_return;
    });
    EXPECT_EQ(guardrails::guardrail_counts()[guardrail::never_awaited], before + 2);
    auto reports = captured.sink->of(guardrail::never_awaited);
    ASSERT_EQ(reports.size(), 2U);
    EXPECT_EQ(test::missing_part(reports[0]), "");
    ASSERT_EQ(reports[0].where.size(), 2U) << reports[0].to_text();
    EXPECT_NE(reports[0].where[0].frames.at(0).function.find("run_with_deadline"), std::string::npos) << reports[0].to_text();
    ASSERT_EQ(reports[0].where[1].frames.size(), 2U) << reports[0].to_text();
    EXPECT_NE(reports[0].where[1].frames[1].function.find("answer()"), std::string::npos) << reports[0].to_text();
    EXPECT_EQ(reports[1].where.size(), 1U) << reports[1].to_text();
}

task<int> question() { co_return 6 * 9; }

TEST(NeverAwaited, TimeoutsAreToldApartByWhatTheyWereGiven) {
    test::captured_reports captured;
    runtime rt{with_policy("all=log")};
    rt.block_on([]() -> task<> {
        { auto dropped = timeout(1s, timeout(2s, answer())); }
        { auto dropped = timeout(1s, timeout(2s, question())); }
        co_return;
    });
    EXPECT_EQ(captured.sink->of(guardrail::never_awaited).size(), 2U);
}

/// An argument that drives a runtime of its own when it is destroyed.
struct drives_at_its_end {
    bool own = true;
    drives_at_its_end() = default;
    drives_at_its_end(drives_at_its_end&& other) noexcept : own{std::exchange(other.own, false)} {}
    ~drives_at_its_end() {
        if (!own) return;
        local_runtime inside{{.guardrails = "all=log,stall=off"}};
        inside.spawn([]() -> task<> {
            { auto dropped = question(); }
            co_return;
        });
        inside.poll();
    }
};
task<> is_given(drives_at_its_end) { co_return; }

TEST(NeverAwaited, WhatAnotherRuntimeDropsMeanwhileIsAMistakeOfItsOwn) {
    test::captured_reports captured;
    runtime rt{with_policy("all=log,stall=off,block=off")};
    rt.block_on([]() -> task<> {
        { auto dropped = is_given({}); }
        co_return;
    });
    auto reports = captured.sink->of(guardrail::never_awaited);
    ASSERT_EQ(reports.size(), 2U);
    for (const auto& r : reports) EXPECT_EQ(r.where.size(), 1U) << r.to_text();
}

TEST(NeverAwaited, TasksThatRanOrWereMovedAreSilent) {
    test::captured_reports captured;
    runtime rt{with_policy("all=log")};
    rt.block_on([]() -> task<> {
        auto first = answer();
        auto second = std::move(first);
        EXPECT_EQ(co_await std::move(second), 42);
    });
    EXPECT_EQ(captured.sink->written(), 0U);
}

TEST(NeverAwaited, TheCallOfALambdaWithCapturesIsNamedByItsPlaceToo) {
    test::captured_reports captured;
    runtime rt{with_policy("all=log")};
    auto before = std::source_location::current().line();
    rt.block_on([]() -> task<> {
        int captured_value = 1;
        auto make = [captured_value]() -> task<int> { co_return captured_value; };
        { auto dropped = make(); }
        co_return;
    });
    auto reports = captured.sink->of(guardrail::never_awaited);
    ASSERT_EQ(reports.size(), 1U);
    EXPECT_NE(reports[0].to_text().find("guardrails_tasks_test.cpp:" + std::to_string(before + 3)), std::string::npos)
        << reports[0].to_text();
}

TEST(NeverAwaited, ATaskThatAStopDestroysIsSilent) {
    test::captured_reports captured;
    runtime rt{with_policy("all=log")};
    std::atomic<bool> started{false};
    rt.spawn([&]() -> task<> {
        auto later = answer();
        started = true;
        co_await sleep_for(1h);
        (void)co_await std::move(later);
    });
    while (!started) std::this_thread::yield();
    EXPECT_TRUE(rt.shutdown(60s).clean());
    EXPECT_EQ(captured.sink->written(), 0U);
}

// ---- borrowed captures -----------------------------------------------------------------------------------------

/// What is reported of a program in a scope; `program(scope&)` spawns. One worker: its tasks count in a plain int.
template <class F>
std::vector<report> reports_of_borrowing(F program) {
    test::captured_reports captured;
    runtime rt{with_policy("all=log", 1)};
    rt.block_on(with_scope([&](scope& s) -> task<> {
        program(s);
        co_return;
    }));
    return captured.sink->of(guardrail::borrowed_captures);
}

task<> add_to(int& sum, int by) {
    sum += by;
    co_return;
}

TEST(BorrowedCaptures, ASpawnedCallOfALambdaIsNamedWithBothPlaces) {
    int seen = 0;
    // It outlives the scope here, so that the report is the only harm.
    auto first = std::source_location::current().line() + 1;
    auto lambda = [&seen](int by) -> task<> { co_await add_to(seen, by); };
    auto reports = reports_of_borrowing([&](scope& s) { s.spawn(lambda(2)); });
    ASSERT_EQ(reports.size(), 1U);
    EXPECT_EQ(test::missing_part(reports[0]), "");
    auto line = [](auto number) { return "guardrails_tasks_test.cpp:" + std::to_string(number); };
    EXPECT_NE(reports[0].where.at(0).frames.at(0).place.find(line(first)), std::string::npos) << reports[0].to_text();
    EXPECT_NE(reports[0].spawned.find(line(first + 1)), std::string::npos) << reports[0].to_text();
    EXPECT_EQ(seen, 2) << "a report changes nothing";
}

TEST(BorrowedCaptures, EveryWayToSpawnATaskLooks) {
    int seen = 0;
    auto lambda = [&seen]() -> task<> {
        ++seen;
        co_return;
    };
    EXPECT_EQ(reports_of_borrowing([&](scope& s) { (void)s.try_spawn(lambda()); }).size(), 1U);
    EXPECT_EQ(reports_of_borrowing([&](scope& s) { s.spawn_on(worker_index{0}, lambda()); }).size(), 1U);
    EXPECT_EQ(reports_of_borrowing([&](scope& s) { s.spawn([&]() -> task<> { co_await s.spawn_when_free(lambda()); }); }).size(),
              1U);
    test::captured_reports captured;
    {
        runtime rt{with_policy("all=log")};
        rt.spawn(lambda());
    }
    EXPECT_EQ(captured.sink->of(guardrail::borrowed_captures).size(), 1U);
    EXPECT_EQ(seen, 4);
}

struct counter {
    int value = 0;
    task<> add(int by) {
        value += by;
        co_return;
    }
    [[nodiscard]] task<> look() const { co_return; }
    task<> operator()() const { co_return; }
};
template <class F>
task<> keeps(F f) {
    co_await f();
}
template <class F>
struct holder {
    F f;
    task<> run() const { co_await f(); }
};
task<> of_place(std::source_location) { co_return; }

TEST(BorrowedCaptures, WhatKeepsItsLambdaOrHasNoneIsSilent) {
    int seen = 0;
    auto lambda = [&seen](int by) -> task<> {
        seen += by;
        co_return;
    };
    counter object;
    auto adds_one = [&]() -> task<> { co_await lambda(1); };
    holder<decltype(adds_one)> held{adds_one};
    auto reports = reports_of_borrowing([&](scope& s) {
        s.spawn(lambda, 1);
        s.spawn(std::ref(lambda), 1);
        s.spawn([]() -> task<> { co_return; }());
        s.spawn(object.add(1));
        s.spawn(std::as_const(object).look());
        s.spawn(object());
        s.spawn(keeps(adds_one));
        s.spawn(held.run());
        s.spawn([&] { return lambda(1); });
        s.spawn(of_place(std::source_location::current()));
        s.spawn([&]() -> task<> { co_await [&]() -> task<> { co_await lambda(1); }(); });
    });
    EXPECT_EQ(reports.size(), 0U);
    EXPECT_EQ(seen, 6);
    EXPECT_EQ(object.value, 1);
}

}  // namespace
}  // namespace belay
