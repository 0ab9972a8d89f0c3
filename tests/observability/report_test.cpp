#include <belay/observability/report.hpp>

#include <belay/observability/impl/event_reports.hpp>
#include <belay/observability/impl/source_text.hpp>
#include <belay/observability/impl/stall_report.hpp>
#include <belay/tests/observability/capture_sink.hpp>

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <system_error>

namespace belay {
namespace {

using namespace std::chrono_literals;
using detail::place_text;

const auto here = std::source_location::current();
const std::string here_text = place_text(here);

task_snapshot session_task() {
    task_snapshot task;
    task.id = 17;
    std::string_view{"session"}.copy(task.name.data(), task.name.size());
    task.spawned = here;
    task.waiting_on = "sleep";
    task.stack[0] = here;
    task.depth = 1;
    return task;
}

report sample() {
    report r;
    r.kind = guardrail::blocked_worker;
    r.action = guardrails::action::panic;
    r.runtime = "belay";
    r.task_id = 17;
    r.task_name = "session";
    r.what = "task 17 \"session\" held worker 3 for 52 ms (limit 50 ms): ASLEEP IN A SYSTEM CALL";
    r.facts = {{"syscall", "read(fd=17 -> pipe:[88213])"}, {"time", "52 ms"}};
    r.where = {{report_stack::shape::native,
                "native stack of worker 3 (tid 8123), read without a signal",
                {{"read", "libc.so.6+0x1", "", false}, {"pqsecure_read", "libpq.so.5+0x2", "", true}}},
               {report_stack::shape::async,
                "async stack of task 17 \"session\"",
                {{"load_user(uint64_t)", "src/user.cpp:41", "running here", false},
                 {"session(tcp_stream)", "src/http.cpp:57", "", false}}}};
    r.spawned = "src/http.cpp:22 in accept_loop()";
    r.why = "nothing else runs here.";
    r.fix = "first line\nsecond line";
    r.silence = "BELAY_GUARDRAILS=stall=log";
    r.stack_id = 0x7f3a91c2;
    return r;
}

TEST(Report, TextHasItsFivePartsInOrder) {
    EXPECT_EQ(sample().to_text(),
              "belay: PANIC [blocked-worker] task 17 \"session\" held worker 3 for 52 ms (limit 50 ms): ASLEEP IN A SYSTEM CALL\n"
              "  syscall    read(fd=17 -> pipe:[88213])\n"
              "  time       52 ms\n"
              "  native stack of worker 3 (tid 8123), read without a signal\n"
              "    #0    read                          libc.so.6+0x1\n"
              "    #1  ? pqsecure_read                 libpq.so.5+0x2\n"
              "  async stack of task 17 \"session\"\n"
              "    load_user(uint64_t)                 src/user.cpp:41   running here\n"
              "    <- session(tcp_stream)              src/http.cpp:57\n"
              "  spawned at src/http.cpp:22 in accept_loop()\n"
              "  why: nothing else runs here.\n"
              "  fix: first line\n"
              "       second line\n"
              "  silence: BELAY_GUARDRAILS=stall=log\n"
              "  stack id 000000007f3a91c2, first occurrence\n");
}

TEST(Report, TextSaysWhatWasNotWritten) {
    auto r = sample();
    r.action = guardrails::action::log;
    r.occurrence = 100;
    r.suppressed = 7;
    auto text = r.to_text();
    EXPECT_TRUE(text.starts_with("belay: WARN [blocked-worker] "));
    EXPECT_NE(text.find("occurrence 100, 7 reports of this kind suppressed before it"), std::string::npos);
}

TEST(Report, JsonIsOneEscapedLine) {
    auto r = sample();
    r.what = "a \"quoted\"\ttext\\";
    r.facts = {{"syscall", "read"}};
    r.where.resize(1);
    r.where[0].frames.resize(1);
    EXPECT_EQ(r.to_json(),
              R"x({"kind":"blocked_worker","action":"panic","runtime":"belay","task_id":"17","task_name":"session",)x"
              R"x("what":"a \"quoted\"\u0009text\\","facts":{"syscall":"read"},"where":[{"form":"native",)x"
              R"x("title":"native stack of worker 3 (tid 8123), read without a signal","frames":[)x"
              R"x({"function":"read","place":"libc.so.6+0x1","guessed":false}]}],)x"
              R"x("spawned":"src/http.cpp:22 in accept_loop()","why":"nothing else runs here.","fix":"first line\nsecond line",)x"
              R"x("silence":"BELAY_GUARDRAILS=stall=log","stack_id":"000000007f3a91c2","occurrence":1,"suppressed":0})x");
}

TEST(Report, HeldLocksNameBothSites) {
    held_lock lock{&here, here, {}};
    auto r = detail::describe_held_locks(session_task(), {&lock, 1});
    EXPECT_EQ(test::missing_part(r), "");
    EXPECT_EQ(r.what, "task 17 \"session\" suspended while it held 1 synchronous lock");
    ASSERT_EQ(r.where.size(), 2U);
    EXPECT_EQ(r.where[0].frames.at(0).place, here_text);
    EXPECT_EQ(r.where[1].frames.at(0).place, here_text);
}

TEST(Report, ATaskThatEndedWithALockIsNamed) {
    held_lock lock{&here, here, {}};
    auto task = session_task();
    task.waiting_on = "ended";
    auto r = detail::describe_held_locks(task, {&lock, 1});
    EXPECT_EQ(test::missing_part(r), "");
    EXPECT_EQ(r.what, "task 17 \"session\" ended while it held 1 synchronous lock");
    EXPECT_EQ(r.task_id, 17U);
    EXPECT_NE(r.spawned.find(here_text), std::string::npos) << r.spawned;
    EXPECT_EQ(r.where.at(1).frames.at(0).note, "ended; awaited here last, or was made here");
    EXPECT_NE(r.fix.find("before the task ends"), std::string::npos) << r.fix;
}

TEST(Report, ALeakListsItsTasksAndCountsTheRest) {
    std::vector<task_snapshot> tasks(20, session_task());
    auto r = detail::describe_leak("web", "shutdown", tasks, 1000);
    EXPECT_EQ(test::missing_part(r), "");
    EXPECT_EQ(r.what, "1000 tasks of runtime \"web\" did not end in time (shutdown)");
    EXPECT_EQ(r.where.front().title.find("task 17 \"session\", waits on: sleep, spawned at " + here_text), 0U);
    EXPECT_EQ(r.where.back().title, "and 984 more");
}

TEST(Report, ALostErrorSaysWhatItWas) {
    std::exception_ptr error;
    try {
        try {
            throw std::out_of_range("row 7");
        } catch (...) {
            std::throw_with_nested(std::runtime_error("loading the page"));
        }
    } catch (...) {
        error = std::current_exception();
    }
    auto r = detail::describe_lost_error("connections", here, error);
    EXPECT_EQ(test::missing_part(r), "");
    EXPECT_NE(r.what.find("scope \"connections\""), std::string::npos);
    EXPECT_NE(r.what.find("std::runtime_error"), std::string::npos);
    EXPECT_NE(r.what.find("loading the page; because of std::out_of_range: row 7"), std::string::npos);
    EXPECT_EQ(detail::error_text(std::make_exception_ptr(5)), "an exception of type int");
    EXPECT_EQ(detail::error_text(nullptr), "no exception");
}

TEST(Report, ATaskThatNeverRanNamesItsCoroutine) {
    auto r = detail::describe_never_awaited(here);
    EXPECT_EQ(test::missing_part(r), "");
    EXPECT_EQ(r.where.at(0).frames.at(0).place, here_text);
}

TEST(Report, AStallWithoutAnyEvidenceStillHasItsFiveParts) {
    worker_stall stall;
    stall.runtime = "belay";
    stall.ended = true;
    stall.elapsed = 52ms;
    stall.task = session_task();
    detail::stall_verdict verdict{detail::stall_class::hog, {25ms, 24ms, 0ms, 'S', 0ms}, true};
    auto r = detail::describe_stall(stall, verdict, detail::gather(stall, verdict), 50ms);
    EXPECT_EQ(test::missing_part(r), "");
    EXPECT_EQ(r.what,
              "task 17 \"session\" held worker 0 of runtime \"belay\" for 52 ms (limit 50 ms): COMPUTING WITHOUT A PAUSE");
    EXPECT_NE(r.to_text().find("not available, the poll ended before it could be read"), std::string::npos);
}

TEST(Report, OnlyAStartHookKeepsAWorkerFromBeginning) {
    auto error = std::make_exception_ptr(std::runtime_error{"no licence"});
    auto start = detail::describe_failed_hook("on_worker_start", 3, error);
    auto stop = detail::describe_failed_hook("on_worker_stop", 3, error);
    EXPECT_EQ(test::missing_part(start), "");
    EXPECT_NE(start.why.find("does not begin"), std::string::npos) << start.why;
    EXPECT_EQ(stop.why.find("does not begin"), std::string::npos) << stop.why;
}

TEST(Report, AStallNamesWhatWaitsBehindIt) {
    worker_stall stall;
    stall.runtime = "belay";
    stall.ended = true;
    stall.task = session_task();
    stall.queued_behind = 3;
    stall.behind[0] = session_task();
    stall.behind[1].id = 18;
    stall.behind[1].spawned = here;
    stall.behind_count = 2;
    detail::stall_verdict verdict{detail::stall_class::hog, {25ms, 24ms, 0ms, 'S', 0ms}, true};
    auto r = detail::describe_stall(stall, verdict, detail::gather(stall, verdict), 50ms);
    EXPECT_EQ(r.facts.at(1).text,
              "3 ready tasks: task 17 \"session\"; task 18, spawned at " + detail::site_text(here) + "; and 1 more");
    stall.behind_count = 0;
    EXPECT_EQ(detail::describe_stall(stall, verdict, detail::gather(stall, verdict), 50ms).facts.at(1).text, "3 ready tasks");
}

TEST(SourceText, FunctionsAreShownAsTheyWereWritten) {
    using detail::function_text;
    EXPECT_EQ(function_text("belay::task<std::vector<int>> load(std::string_view, int)"), "load(std::string_view, int)");
    EXPECT_EQ(function_text("void load(load(int)::_Z4loadi.Frame*)"), "load(int)");
    EXPECT_EQ(function_text("belay::task<> (anonymous namespace)::f()"), "f()");
    EXPECT_EQ(function_text("(anonymous namespace)::f(int)"), "f(int)");
    EXPECT_EQ(function_text("operator new(unsigned long)"), "operator new(unsigned long)");
    EXPECT_EQ(function_text("f() [clone .resume]"), "f()");
    EXPECT_EQ(function_text("auto main()::(anonymous class)::operator()(scope &) const"), "main()::lambda(scope &) const");
    EXPECT_EQ(function_text("belay::task<> spawn(F &&) [F = int]"), "spawn(F &&)");
    EXPECT_EQ(function_text("int& table::operator[](int)"), "table::operator[](int)");
    EXPECT_EQ(function_text(""), "?");
}

TEST(SourceText, DurationsHaveTheUnitThatReadsBest) {
    EXPECT_EQ(detail::duration_text(800us), "800 us");
    EXPECT_EQ(detail::duration_text(2500us), "2.5 ms");
    EXPECT_EQ(detail::duration_text(52ms), "52 ms");
    EXPECT_EQ(detail::duration_text(1300ms), "1.3 s");
}

// The text of an exception is of any encoding, and a reader of JSON takes UTF-8 only.
TEST(Report, WhatIsNotUtf8IsReplacedInJson) {
    report r;
    r.what = "caf\xe9 \xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 \xed\xa0\x80 \xc0\xaf \xf5 \xe2\x82";
    const std::string bad = "\xef\xbf\xbd";
    auto expected = "caf" + bad + " \xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 " + bad + bad + bad + " " + bad + bad + " " + bad +
                    " " + bad + bad;
    EXPECT_NE(r.to_json().find("\"" + expected + "\""), std::string::npos) << r.to_json();
}

}  // namespace
}  // namespace belay
