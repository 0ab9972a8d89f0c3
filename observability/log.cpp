#include <belay/observability/log.hpp>

#include <belay/observability/impl/log_line.hpp>
#include <belay/observability/impl/reporter.hpp>
#include <belay/observability/report.hpp>

#include <spdlog/logger.h>

#include <mutex>
#include <utility>

namespace belay {
namespace {

struct logger_slot {
    std::mutex mutex;  // held for a copy only
    std::shared_ptr<spdlog::logger> logger;
};

logger_slot& slot() noexcept {
    static auto* the_one = new logger_slot;  // never destroyed: threads may log after main()
    return *the_one;
}

class spdlog_sink final : public guardrails::report_sink {
public:
    explicit spdlog_sink(std::shared_ptr<spdlog::logger> logger)
        : logger_{std::move(logger)}, direct_{detail::make_standard_error_sink()} {}

    void write(const report& what) noexcept override {
        if (what.action == guardrails::action::panic || what.kind == guardrail::blocked_worker) direct_->write(what);
        if (what.action == guardrails::action::panic) return;  // the logger would not get round to it before abort()
        try {
            logger_->log(spdlog::level::warn, what.to_text());
        } catch (...) {  // no memory
        }
    }

private:
    std::shared_ptr<spdlog::logger> logger_;
    std::shared_ptr<guardrails::report_sink> direct_;
};

}  // namespace

void set_logger(std::shared_ptr<spdlog::logger> logger) {
    std::lock_guard lock{slot().mutex};
    slot().logger = std::move(logger);
}

std::shared_ptr<guardrails::report_sink> logger_sink(std::shared_ptr<spdlog::logger> logger) {
    return std::make_shared<spdlog_sink>(std::move(logger));
}

void detail::log_line(log_level level, std::string_view line) noexcept {
    try {
        std::unique_lock lock{slot().mutex};
        auto logger = slot().logger;
        lock.unlock();
        if (logger) logger->log(level == log_level::info ? spdlog::level::info : spdlog::level::warn, line);
    } catch (...) {  // a logger without error handler; a lost line is no reason to fail
    }
}

}  // namespace belay
