// Suppressions: by what stands in a report, from the program or from a file.
#include <belay/observability/guardrails.hpp>
#include <belay/observability/impl/suppressions.hpp>
#include <belay/runtime/scope.hpp>
#include <belay/tests/observability/guarded_runtime.hpp>

#include <gtest/gtest.h>

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <stdexcept>
#include <string>
#include <system_error>

namespace belay {
namespace {

task<> fails_as_it_always_does() {
    throw std::runtime_error("as always");
    co_return;
}
task<> fails_for_once() {
    throw std::runtime_error("for once");
    co_return;
}

std::string refusal_of(const std::function<void()>& call) {
    try {
        call();
    } catch (const std::invalid_argument& wrong) {
        return wrong.what();
    }
    return "accepted";
}

TEST(Suppressions, StarsStandForAnyCharacters) {
    EXPECT_TRUE(detail::occurs("b", "abc"));
    EXPECT_TRUE(detail::occurs("a*c", "xabcx"));
    EXPECT_TRUE(detail::occurs("*a**c*", "abc"));
    EXPECT_TRUE(detail::occurs("", ""));
    EXPECT_FALSE(detail::occurs("c*a", "abc"));
    EXPECT_FALSE(detail::occurs("aa*a", "aa"));
    EXPECT_FALSE(detail::occurs("b", ""));
}

TEST(Suppressions, OnlyWhatMatchesIsCountedAndNotWritten) {
    test::captured_reports captured;
    guardrails::suppress("stall:suppressions_test");  // of another guardrail
    guardrails::suppress("error:suppressions_test.cpp*no such text");
    auto here = std::source_location::current();
    guardrails::suppress("error:" + test::place(here.line()));
    auto before = guardrails::guardrail_counts();
    runtime rt{test::with_policy("all=log,error=panic")};  // what is suppressed does not panic either
    runtime log{test::with_policy("all=log")};
    auto isolated = [here](scope& s) -> task<> {
        for (int i = 0; i < 3; ++i) s.spawn(fails_as_it_always_does, here);
        co_return;
    };
    rt.block_on(with_scope({.on_error = on_error::isolate}, isolated));
    EXPECT_EQ(captured.sink->written(), 0U);
    log.block_on(with_scope({.on_error = on_error::isolate}, [](scope& s) -> task<> {
        s.spawn(fails_for_once);
        co_return;
    }));
    EXPECT_EQ(captured.sink->written(), 1U);
    auto now = guardrails::guardrail_counts();
    EXPECT_EQ(now[guardrail::lost_error] - before[guardrail::lost_error], 4U);
    EXPECT_EQ(now.suppressed - before.suppressed, 3U);
}

TEST(Suppressions, ARefusalSaysWhatIsWrong) {
    EXPECT_NE(refusal_of([] { guardrails::suppress("spdlog"); }).find("there is no ':'"), std::string::npos);
    EXPECT_NE(refusal_of([] { guardrails::suppress("blok:x"); }).find("\"blok\" is not a guardrail"), std::string::npos);
    EXPECT_NE(refusal_of([] { guardrails::suppress("all:"); }).find("would match everything"), std::string::npos);
    EXPECT_NE(refusal_of([] { guardrails::suppress("all: * "); }).find("would match everything"), std::string::npos);
}

TEST(Suppressions, AFileHasOneALine) {
    auto path = std::filesystem::temp_directory_path() / ("belay_suppressions_" + std::to_string(::getpid()));
    EXPECT_THROW(guardrails::suppress_file(path.string()), std::system_error);
    EXPECT_THROW(guardrails::suppress_file(path.parent_path().string()), std::system_error) << "a directory";
    std::ofstream{path} << "# what the old code does\n\n  block:old::* \r\nawait:old::run\n";
    guardrails::suppress_file(path.string());
    report r;
    r.kind = guardrail::blocking_call;
    r.where.push_back({report_stack::shape::native, "called by", {{"old::connect()", "app+0x10", ""}}});
    EXPECT_TRUE(detail::is_suppressed(r));
    r.kind = guardrail::lost_error;
    EXPECT_FALSE(detail::is_suppressed(r));
    std::ofstream{path} << "all:x\nall\n";
    auto refusal = refusal_of([&] { guardrails::suppress_file(path.string()); });
    EXPECT_NE(refusal.find(path.string() + ", line 2"), std::string::npos) << refusal;
    r.where[0].frames[0].place = "x";
    EXPECT_FALSE(detail::is_suppressed(r)) << "a file with a mistake is not read in part";
    std::filesystem::remove(path);
}

TEST(SelfTest, SaysWhatWorksAndWhyTheRestDoesNot) {
    auto line = guardrails::self_test();
    EXPECT_TRUE(line.starts_with("live: ")) << line;
    if (!guardrails::guard_attached()) {
        EXPECT_NE(line.find("missing: "), std::string::npos) << line;
        EXPECT_NE(line.find("belay::guard is neither linked nor preloaded"), std::string::npos) << line;
    }
    EXPECT_EQ(line.find('\n'), std::string::npos);
    EXPECT_EQ(line.find("the system calls of tasks"), std::string::npos) << "nobody has asked for them: " << line;
}

}  // namespace
}  // namespace belay
