// The guardrail "stop": a scope that was stopped and does not end. What ignores its stop here is let go by the report.
#include <belay/observability/guardrails.hpp>
#include <belay/runtime/detail/lost_time.hpp>
#include <belay/runtime/detail/overdue_stop.hpp>
#include <belay/runtime/detail/worker.hpp>
#include <belay/runtime/finally.hpp>
#include <belay/runtime/local_runtime.hpp>
#include <belay/runtime/scope.hpp>
#include <belay/runtime/shield.hpp>
#include <belay/runtime/sleep.hpp>
#include <belay/runtime/timeout.hpp>
#include <belay/runtime/when_all.hpp>
#include <belay/runtime/yield.hpp>
#include <belay/tests/observability/guarded_runtime.hpp>

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <coroutine>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

namespace belay {
namespace {

using namespace std::chrono_literals;
using test::text_of;
using test::with_policy;

constexpr const char* watched = "all=log,stall=off,stop=log:20ms";
constexpr const char* in_time = "all=log,stall=off";  // five seconds: a busy machine may need some of them

/// An awaitable of another library, that cannot be stopped.
struct deaf {
    std::atomic<void*> waiting{nullptr};
    static bool await_ready() noexcept { return false; }
    void await_suspend(std::coroutine_handle<> h) noexcept { waiting = h.address(); }
    static void await_resume() noexcept {}
    void end() {
        void* address = nullptr;
        while ((address = waiting.load()) == nullptr) std::this_thread::yield();
        std::coroutine_handle<>::from_address(address).resume();
    }
};

std::thread end_when_reported(deaf& op, const test::capture_sink& sink) {
    return std::thread{[&] {
        test::wait_for_reports(sink, 1);
        op.end();
    }};
}

task<> wait_for(deaf* op) { co_await *op; }

TEST(StopIgnored, ATaskThatWaitsForWhatCannotBeStoppedIsNamed) {
    test::captured_reports captured;
    deaf op;
    std::uint_least32_t spawned = 0;
    runtime rt{with_policy(watched, 1)};
    auto ends = end_when_reported(op, *captured.sink);
    rt.block_on([&]() -> task<> {
        co_await with_scope({.name = "connections"}, [&](scope& s) -> task<> {
            spawned = std::source_location::current().line() + 1;
            s.spawn(wait_for, &op);
            while (op.waiting.load() == nullptr) co_await yield();
            s.request_stop();
        });
    });
    ends.join();
    auto reports = captured.sink->of(guardrail::stop_ignored);
    ASSERT_EQ(reports.size(), 1U);
    EXPECT_EQ(test::missing_part(reports[0]), "");
    auto text = reports[0].to_text();
    EXPECT_NE(reports[0].what.find("1 task of scope \"connections\" did not end within"), std::string::npos) << text;
    EXPECT_NE(reports[0].what.find("of its stop (requested)"), std::string::npos) << text;
    EXPECT_NE(text.find("wait_for("), std::string::npos) << text;
    EXPECT_NE(text.find(test::place(spawned)), std::string::npos) << text;
}

TEST(StopIgnored, ATaskThatComputesIsNamed) {
    test::captured_reports captured;
    runtime rt{with_policy(watched, 2)};
    std::atomic<bool> computes{false};
    rt.block_on([&]() -> task<> {
        co_await with_scope({.name = "searches"}, [&](scope& s) -> task<> {
            s.spawn([&]() -> task<> {
                computes = true;
                test::compute_until_reported(*captured.sink);
                co_return;
            });
            while (!computes) co_await yield();
            s.request_stop();
        });
    });
    EXPECT_EQ(captured.sink->of(guardrail::stop_ignored).size(), 1U);
    auto text = text_of(captured, guardrail::stop_ignored);
    EXPECT_NE(text.find(", running on worker "), std::string::npos) << text;
}

TEST(StopIgnored, ATimeoutAroundAComputationIsNamedWithTheLineWhereItIsAwaited) {
    test::captured_reports captured;
    runtime rt{with_policy(watched, 2)};
    std::uint_least32_t awaited = 0;
    std::uint_least32_t branches = 0;
    auto computes = [&]() -> task<> {
        test::compute_until_reported(*captured.sink);
        co_return;
    };
    auto work = [&]() -> task<> {
        branches = std::source_location::current().line() + 1;
        co_await when_all(computes(), yield());
    };
    rt.block_on([&]() -> task<> {
        awaited = std::source_location::current().line() + 1;
        (void)co_await try_timeout(50ms, work());
    });
    auto reports = captured.sink->of(guardrail::stop_ignored);
    ASSERT_EQ(reports.size(), 1U);
    auto text = reports[0].to_text();
    ASSERT_EQ(reports[0].facts.size(), 1U) << text;
    EXPECT_NE(reports[0].facts[0].text.find("\"timeout\", awaited at "), std::string::npos) << text;
    EXPECT_NE(reports[0].facts[0].text.find(test::place(awaited)), std::string::npos) << text;
    EXPECT_NE(text.find(", running on worker "), std::string::npos) << text;
    ASSERT_EQ(reports[0].where.at(0).frames.size(), 2U) << text;  // the branch that computes, and who awaits it
    EXPECT_NE(reports[0].where[0].frames[1].place.find(test::place(branches)), std::string::npos) << text;
}

TEST(StopIgnored, ATimeoutInATimeoutIsAwaitedWhereTheOuterOneIs) {
    test::captured_reports captured;
    deaf op;
    runtime rt{with_policy(watched, 1)};
    auto ends = end_when_reported(op, *captured.sink);
    std::uint_least32_t awaited = 0;
    rt.block_on([&]() -> task<> {
        awaited = std::source_location::current().line() + 1;
        (void)co_await try_timeout(1h, try_timeout(1ms, wait_for(&op)));
    });
    ends.join();
    auto reports = captured.sink->of(guardrail::stop_ignored);
    ASSERT_EQ(reports.size(), 1U);
    ASSERT_EQ(reports[0].facts.size(), 1U) << reports[0].to_text();
    EXPECT_NE(reports[0].facts[0].text.find(test::place(awaited)), std::string::npos) << reports[0].to_text();
}

TEST(StopIgnored, AnotherBranchOfTheTaskIsNotBlamed) {
    test::captured_reports captured;
    deaf op;
    runtime rt{with_policy(watched, 2)};
    auto ends = end_when_reported(op, *captured.sink);
    std::atomic<bool> computing{false};
    auto computes = [&]() -> task<> {
        computing = true;
        test::compute_until_reported(*captured.sink);
        co_return;
    };
    auto waits = [&]() -> task<> {
        while (!computing) co_await yield();
        (void)co_await try_timeout(1ms, wait_for(&op));
    };
    rt.block_on([&]() -> task<> { co_await when_all(computes(), waits()); });
    ends.join();
    auto reports = captured.sink->of(guardrail::stop_ignored);
    ASSERT_EQ(reports.size(), 1U);
    auto text = reports[0].to_text();
    EXPECT_EQ(text.find(", running on worker "), std::string::npos) << text;
    EXPECT_NE(text.find(", suspended, "), std::string::npos) << text;
    ASSERT_EQ(reports[0].where.at(0).frames.size(), 1U) << text;
    EXPECT_NE(reports[0].where[0].frames[0].function.find("wait_for("), std::string::npos) << text;
}

TEST(StopIgnored, TheInnermostScopeIsNamedAndOnce) {
    test::captured_reports captured;
    deaf op;
    runtime rt{with_policy(watched, 1)};
    auto ends = end_when_reported(op, *captured.sink);
    rt.block_on([&]() -> task<> {
        co_await with_scope({.name = "outer"}, [&](scope& outer) -> task<> {
            outer.spawn([&]() -> task<> {
                co_await with_scope({.name = "inner"}, [&](scope& inner) -> task<> {
                    inner.spawn(wait_for, &op);
                    co_return;
                });
            });
            while (op.waiting.load() == nullptr) co_await yield();
            outer.request_stop();
        });
    });
    ends.join();
    auto reports = captured.sink->of(guardrail::stop_ignored);
    ASSERT_EQ(reports.size(), 1U);
    EXPECT_NE(reports[0].what.find("scope \"inner\""), std::string::npos) << reports[0].to_text();
    EXPECT_NE(reports[0].what.find("(parent)"), std::string::npos) << reports[0].to_text();
}

TEST(StopIgnored, ABodyThatIgnoresTheDeadlineIsNamed) {
    test::captured_reports captured;
    deaf op;
    runtime rt{with_policy(watched, 1)};
    auto ends = end_when_reported(op, *captured.sink);
    rt.block_on([&]() -> task<> {
        EXPECT_THROW(co_await with_scope({.name = "request", .deadline = 1ms},
                                         [&](scope&) -> task<> {
                                             co_await op;
                                             co_await sleep_for(1h);
                                         }),
                     deadline_exceeded);
    });
    ends.join();
    auto text = text_of(captured, guardrail::stop_ignored);
    EXPECT_NE(text.find("scope \"request\""), std::string::npos) << text;
    EXPECT_NE(text.find("(deadline)"), std::string::npos) << text;
}

// ---- silent ----------------------------------------------------------------------------------------------------

/// Runs `work` in a scope that is stopped when it has begun.
template <class F>
std::size_t reports_of_a_stop_of(F work) {
    test::captured_reports captured;
    runtime rt{with_policy(in_time, 2)};
    std::atomic<bool> begun{false};
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            s.spawn([&]() -> task<> { co_await work(begun); });
            while (!begun) co_await yield();
            s.request_stop();
        });
    });
    return captured.sink->written();
}

TEST(StopIgnored, ATaskThatEndsIsSilent) {
    EXPECT_EQ(reports_of_a_stop_of([](std::atomic<bool>& begun) -> task<> {
                  begun = true;
                  co_await sleep_for(1h);
              }),
              0U);
}

/// What the watchdog would find at that time from now on.
bool overdue_in(std::chrono::nanoseconds later) {
    detail::overdue_stop found;
    return detail::this_worker()->core().take_overdue_stop(detail::now_ns() + later.count(), detail::lost_time{0}, found);
}

// A cleanup has its grace of a minute: within that no stop is overdue, after it every stop is.
TEST(StopIgnored, ACleanupHasItsGrace) {
    std::size_t cleanups = 0;
    auto cleanup = [&cleanups]() -> task<> {
        co_await yield();
        EXPECT_FALSE(overdue_in(50s));
        EXPECT_TRUE(overdue_in(70s));
        ++cleanups;
    };
    auto stopped = [&](auto work) {
        runtime rt{with_policy("all=log,stall=off,stop=log:3600s", 1)};
        rt.block_on([&]() -> task<> {
            co_await with_scope([&](scope& s) -> task<> {
                s.request_stop();
                co_await work();
            });
        });
    };
    stopped([&]() -> task<> { co_await shield(cleanup(), 60s); });
    stopped([&]() -> task<> { co_await finally(sleep_for(1h), cleanup, 60s); });
    EXPECT_EQ(cleanups, 2U);
    // Below a child, a branch and another scope, and the stop comes when it has begun.
    runtime rt{with_policy("all=log,stall=off,stop=log:3600s", 1)};
    std::atomic<bool> begun{false};
    std::atomic<bool> asked{false};
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            s.spawn([&]() -> task<> {
                co_await with_scope([&](scope&) -> task<> {
                    co_await when_all(shield(
                                          [&]() -> task<> {
                                              begun = true;
                                              while (!asked) co_await yield();
                                              co_await cleanup();
                                          }(),
                                          60s),
                                      sleep_for(1h));
                });
            });
            while (!begun) co_await yield();
            s.request_stop();
            asked = true;
        });
    });
    EXPECT_EQ(cleanups, 3U);
}

TEST(StopIgnored, ScopesThatAreStoppedByTheThousandAreForgotten) {
    test::captured_reports captured;
    runtime rt{with_policy(in_time, 2)};
    rt.block_on([]() -> task<> {
        co_await with_scope([](scope& all) -> task<> {
            for (int i = 0; i < 1000; ++i)
                all.spawn([]() -> task<> {
                    for (int round = 0; round < 10; ++round)
                        co_await with_scope([](scope& s) -> task<> {
                            s.spawn([]() -> task<> { co_await sleep_for(1h); });
                            co_await yield();
                            s.request_stop();
                        });
                });
            co_return;
        });
    });
    EXPECT_EQ(captured.sink->written(), 0U);
}

// ---- cleanups that use up their grace --------------------------------------------------------------------------

TEST(CleanupOverrun, ACleanupThatIsCutShortIsNamed) {
    test::captured_reports captured;
    runtime rt{with_policy("all=log,stall=off", 1)};
    std::uint_least32_t line = 0;
    rt.block_on([&line]() -> task<> {
        auto hangs = []() -> task<> { co_await sleep_for(1h); };
        line = std::source_location::current().line() + 1;
        co_await finally(yield(), hangs, 2ms);
    });
    auto reports = captured.sink->of(guardrail::cleanup_overrun);
    ASSERT_EQ(reports.size(), 1U);
    EXPECT_EQ(test::missing_part(reports[0]), "");
    EXPECT_NE(reports[0].what.find("did not end within its grace of 2.0 ms and was stopped"), std::string::npos)
        << reports[0].what;
    auto text = reports[0].to_text();
    EXPECT_NE(text.find(test::place(line)), std::string::npos) << text;
}

task<> never_ends() { co_await sleep_for(1h); }

/// What is said when `cleanup` runs with a grace of 2 ms.
std::string overruns_of(task<> (*cleanup)()) {
    test::captured_reports captured;
    runtime rt{with_policy("all=log,stall=off", 1)};
    rt.block_on([cleanup]() -> task<> { co_await finally(yield(), cleanup, 2ms); });
    std::string all;
    for (const auto& r : captured.sink->of(guardrail::cleanup_overrun)) all += r.what + "\n";
    return all;
}

TEST(CleanupOverrun, OneThatIsCutByACleanupAroundItSaysSo) {
    auto all = overruns_of([]() -> task<> { co_await finally(yield(), never_ends, 30min); });
    EXPECT_EQ(all.find("did not end within its grace of 1800"), std::string::npos) << all;
    EXPECT_NE(all.find("did not end within its grace of 2.0 ms and was stopped"), std::string::npos) << all;
    EXPECT_NE(all.find("when the grace of a cleanup around it was over, and was stopped; its own grace is 1800"),
              std::string::npos)
        << all;
}

TEST(CleanupOverrun, OneThatBeginsAfterTheGraceAroundItSaysSo) {
    auto all = overruns_of([]() -> task<> { co_await finally(never_ends(), never_ends, 30min); });
    EXPECT_NE(all.find("began when the grace of a cleanup around it was already over, and was stopped; its own grace is 1800"),
              std::string::npos)
        << all;
}

TEST(CleanupOverrun, OneThatEndsInTimeOrWithTheShutdownIsNot) {
    test::captured_reports captured;
    {
        runtime rt{with_policy("all=log,stall=off,leak=off", 1)};
        rt.block_on([]() -> task<> { co_await finally(yield(), []() -> task<> { co_await yield(); }, 1h); });
        std::atomic<bool> shielded{false};
        rt.spawn([&shielded]() -> task<> {
            auto hangs = [&shielded]() -> task<> {
                shielded = true;
                co_await sleep_for(1h);
            };
            co_await shield(hangs(), 1h);
        });
        while (!shielded) std::this_thread::yield();
        rt.shutdown(50ms);
    }
    EXPECT_EQ(captured.sink->of(guardrail::cleanup_overrun).size(), 0U);
}

// ---- time that counts against nobody ---------------------------------------------------------------------------

/// How often the watchdogs of this process have gone to sleep again.
std::uint64_t looks_of_watchdogs() {
    std::uint64_t looks = 0;
    for (const auto& thread : std::filesystem::directory_iterator{"/proc/self/task"}) {
        std::string name;
        std::getline(std::ifstream{thread.path() / "comm"}, name);
        if (name != "belay-watchdog") continue;
        std::ifstream status{thread.path() / "status"};
        for (std::string word; status >> word;)
            if (word == "voluntary_ctxt_switches:" && status >> word) looks += std::stoull(word);
    }
    return looks;
}

/// There is one: a local_runtime has a watchdog when stalls are looked for.
void let_watchdogs_look(std::uint64_t times) {
    for (auto begin = looks_of_watchdogs(); looks_of_watchdogs() < begin + times;) std::this_thread::yield();
}

/// Stops this process, and has it continued after so long.
void be_stopped_for(std::chrono::milliseconds time) {
    pid_t self = ::getpid();
    pid_t helper = ::fork();
    ASSERT_GE(helper, 0);
    if (helper == 0) {
        ::kill(self, SIGSTOP);
        timespec length{0, std::chrono::nanoseconds{time}.count()};
        ::nanosleep(&length, nullptr);
        ::kill(self, SIGCONT);
        ::_exit(0);
    }
    ::waitpid(helper, nullptr, 0);
}

TEST(StopIgnored, ATimeInWhichTheProcessWasStoppedDoesNotCount) {
    test::captured_reports captured;
    deaf op;
    runtime rt{with_policy("all=log,stall=off,stop=log:400ms", 1)};
    std::thread ends;
    rt.block_on(with_scope([&](scope& s) -> task<> {
        s.spawn(wait_for, &op);
        while (op.waiting.load() == nullptr) co_await yield();
        s.request_stop();
        ends = std::thread{[&] {
            let_watchdogs_look(1);
            be_stopped_for(600ms);
            let_watchdogs_look(2);
            op.end();
        }};
    }));
    ends.join();
    EXPECT_EQ(captured.sink->written(), 0U) << text_of(captured, guardrail::stop_ignored);
}

TEST(StopIgnored, ALocalRuntimeThatIsNotDrivenIsNotReported) {
    test::captured_reports captured;
    local_runtime rt{{.guardrails = "all=log,stall=log:60s,stop=log:100ms"}};
    scope* open = nullptr;
    auto over = rt.spawn([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            s.spawn([]() -> task<> { co_await sleep_for(1h); });
            open = &s;
            co_return;
        });
    });
    while (open == nullptr || open->size() == 0) rt.poll();
    rt.poll();
    open->request_stop();
    let_watchdogs_look(8);  // each a quarter of the limit
    while (!over.ended()) rt.poll();
    EXPECT_EQ(captured.sink->written(), 0U) << text_of(captured, guardrail::stop_ignored);
}

TEST(StopIgnored, ALocalRuntimeThatHasNothingToDoIsReported) {
    test::captured_reports captured;
    local_runtime rt{{.guardrails = "all=log,stall=log:60s,stop=log:20ms"}};
    deaf op;
    auto over = rt.spawn([&]() -> task<> {
        co_await with_scope({.name = "window"}, [&](scope& s) -> task<> {
            s.spawn(wait_for, &op);
            while (op.waiting.load() == nullptr) co_await yield();
            s.request_stop();
        });
    });
    for (int i = 0; i < 100; ++i) rt.poll();
    test::wait_for_reports(*captured.sink, 1);
    op.end();
    while (!over.ended()) rt.poll();
    EXPECT_NE(text_of(captured, guardrail::stop_ignored).find("scope \"window\""), std::string::npos);
}

}  // namespace
}  // namespace belay
