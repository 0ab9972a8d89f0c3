#include <belay/observability/log.hpp>

#include <belay/observability/impl/log_line.hpp>
#include <belay/observability/report.hpp>
#include <belay/runtime/observer.hpp>

#include <gtest/gtest.h>

#include <spdlog/logger.h>
#include <spdlog/sinks/ostream_sink.h>

#include <memory>
#include <sstream>

namespace belay {
namespace {

struct text_logger {
    std::ostringstream text;
    std::shared_ptr<spdlog::logger> logger =
        std::make_shared<spdlog::logger>("test", std::make_shared<spdlog::sinks::ostream_sink_mt>(text));
    text_logger() { logger->set_pattern("%l %v"); }
};

TEST(Log, LinesGoToTheLoggerThatWasHandedInAndNowhereElse) {
    text_logger t;
    detail::log_line(detail::log_level::info, "before");
    set_logger(t.logger);
    detail::log_line(detail::log_level::info, "hello {}");
    detail::log_line(detail::log_level::warning, "careful");
    set_logger(nullptr);
    detail::log_line(detail::log_level::info, "after");
    EXPECT_EQ(t.text.str(), "info hello {}\nwarning careful\n");
}

TEST(Log, ReportsGoThereOnlyThroughItsSink) {
    text_logger t;
    auto before = guardrails::set_sink(logger_sink(t.logger));
    guardrails::set_process_policy("all=log");
    process_observer().never_awaited(std::source_location::current());
    guardrails::set_process_policy("");
    guardrails::set_sink(before);
    EXPECT_NE(t.text.str().find("warning belay: WARN [never-awaited]"), std::string::npos) << t.text.str();
}

}  // namespace
}  // namespace belay
