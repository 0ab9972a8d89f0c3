// Guardrails for what load brings about: a scope without a limit, and a pool without a free thread.
#include <belay/observability/guardrails.hpp>
#include <belay/runtime/blocking.hpp>
#include <belay/runtime/detail/blocking_job.hpp>
#include <belay/runtime/detail/core.hpp>
#include <belay/runtime/detail/lost_time.hpp>
#include <belay/runtime/scope.hpp>
#include <belay/runtime/yield.hpp>
#include <belay/tests/observability/guarded_runtime.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>

namespace belay {
namespace {

using test::text_of;
using test::with_policy;

// ---- fan-out ---------------------------------------------------------------------------------------------------

constexpr std::size_t very_many = 10'000;

task<> waits(std::atomic<bool>* released) {
    while (!*released) co_await yield();
}

/// Spawns so many into a scope with these options and counts the reports.
std::size_t reports_of(scope_options options, std::size_t tasks, std::uint_least32_t* line = nullptr,
                       std::string* text = nullptr) {
    test::captured_reports captured;
    std::atomic<bool> released{false};
    runtime rt{with_policy("all=log,stall=off")};
    rt.block_on(with_scope(options, [&](scope& s) -> task<> {
        if (line != nullptr) *line = std::source_location::current().line() + 1;
        for (std::size_t i = 0; i < tasks; ++i) s.spawn(waits, &released);
        released = true;
        co_return;
    }));
    if (text != nullptr) *text = text_of(captured, guardrail::fan_out);
    return captured.sink->of(guardrail::fan_out).size();
}

TEST(FanOut, AScopeWithoutALimitIsReportedOnce) {
    std::uint_least32_t line = 0;
    std::string text;
    ASSERT_EQ(reports_of({.name = "imports"}, very_many + 5, &line, &text), 1U);
    EXPECT_NE(text.find("scope \"imports\" holds 10000 tasks, and nobody has chosen a limit for it"), std::string::npos) << text;
    EXPECT_NE(text.find(test::place(line)), std::string::npos) << text;
}

TEST(FanOut, FewerAreNot) { EXPECT_EQ(reports_of({}, very_many - 1), 0U); }

TEST(FanOut, AChosenLimitIsNot) { EXPECT_EQ(reports_of({.max_tasks = 500'000}, very_many + 5), 0U); }

TEST(FanOut, ManyAfterEachOtherAreNot) {
    test::captured_reports captured;
    runtime rt{with_policy("all=log,stall=off")};
    rt.block_on(with_scope([](scope& s) -> task<> {
        for (std::size_t i = 0; i < 2 * very_many; ++i) co_await s.spawn([]() -> task<> { co_return; }).join();
    }));
    EXPECT_EQ(captured.sink->written(), 0U);
}

TEST(FanOut, TheRuntimesOwnScopeIsToo) {
    test::captured_reports captured;
    std::atomic<bool> released{false};
    runtime rt{with_policy("all=log,stall=off")};
    for (std::size_t i = 0; i < very_many; ++i) rt.spawn(waits, &released);
    released = true;
    rt.shutdown(std::chrono::minutes{1});
    EXPECT_NE(text_of(captured, guardrail::fan_out).find("scope \"root\""), std::string::npos);
}

// ---- saturated pools -------------------------------------------------------------------------------------------

/// Holds a thread of a pool until it is let go.
struct gate {
    std::atomic<bool> taken{false};
    std::atomic<bool> open{false};
    void operator()() {
        taken = true;
        while (!open) std::this_thread::yield();
    }
};

TEST(PoolSaturated, NamesThePoolAndTheTaskThatWaits) {
    test::captured_reports captured;
    gate first;
    // On a busy machine the runtime's own pool may have to be reported too: its first thread may come late.
    auto of_disks = [&] {
        auto reports = captured.sink->of(guardrail::pool_saturated);
        std::erase_if(reports, [](const report& r) { return r.what.find("\"disks\"") == r.what.npos; });
        return reports;
    };
    runtime rt{with_policy("all=log,stall=off,pool=log:1ms")};
    blocking_pool disks{rt, {.name = "disks", .max_threads = 1}};
    rt.block_on(with_scope([&](scope& s) -> task<> {
        s.spawn([&]() -> task<> { co_await disks.run([&] { first(); }); });
        while (!first.taken) co_await yield();
        s.spawn([&]() -> task<> { co_await disks.run([] {}); });
        // All workers sleep; the watchdog sees it nevertheless.
        co_await spawn_blocking([&] {
            while (of_disks().empty()) std::this_thread::yield();
        });
        first.open = true;
    }));
    auto reports = of_disks();
    ASSERT_EQ(reports.size(), 1U);
    EXPECT_EQ(test::missing_part(reports[0]), "");
    auto text = reports[0].to_text();
    EXPECT_NE(text.find("for a thread of the blocking pool \"disks\""), std::string::npos) << text;
    EXPECT_NE(text.find("1 thread, which runs a function"), std::string::npos) << text;
    EXPECT_NE(text.find("1 function waits"), std::string::npos) << text;
    EXPECT_NE(text.find("load_guardrails_test.cpp:"), std::string::npos) << text;
}

TEST(PoolSaturated, IsSoOnceUntilTheQueueHasMoved) {
    using state = detail::blocking_core::queue_state;
    gate holds;
    runtime rt{with_policy("all=log,stall=off,pool=off")};
    blocking_pool disks{rt, {.name = "disks", .max_threads = 1}};
    saturated_pool found;
    const detail::lost_time none{0};
    auto soon = [] { return detail::now_ns() + std::chrono::nanoseconds{std::chrono::hours{1}}.count(); };
    EXPECT_EQ(disks.core().look(soon(), none, found), state::empty);
    rt.block_on(with_scope([&](scope& s) -> task<> {
        s.spawn([&]() -> task<> { co_await disks.run([&] { holds(); }); });
        while (!holds.taken) co_await yield();
        EXPECT_EQ(disks.core().look(soon(), none, found), state::empty);  // it runs, and nobody waits
        s.spawn([&]() -> task<> { co_await disks.run([] {}); });
        while (disks.metrics().queued == 0) co_await yield();
        EXPECT_EQ(disks.core().look(0, none, found), state::moving);  // not for so long
        detail::lost_time stopped{0};
        stopped.note(2 * soon(), 2 * soon());
        EXPECT_EQ(disks.core().look(soon(), stopped, found), state::moving);  // but for a time that does not count
        EXPECT_EQ(disks.core().look(soon(), none, found), state::saturated);
        EXPECT_EQ(found.queued, 1U);
        EXPECT_EQ(disks.core().look(soon(), none, found), state::moving);  // that was said
        holds.open = true;
    }));
    EXPECT_EQ(disks.core().look(soon(), none, found), state::empty);
}

}  // namespace
}  // namespace belay
