// Where belay's ordinary lines go: nowhere, until a logger is handed in.
//
//     belay::set_logger(spdlog::default_logger());
//
// Reports of guardrails do not come here: they must be written while the logger's lock may be held by a task that is stuck
// (see guardrails::set_sink). logger_sink() sends them here nevertheless, for programs that can accept that.
#pragma once

#include <belay/observability/guardrails.hpp>

#include <memory>

namespace spdlog {
class logger;
}

namespace belay {

/// For the whole process; null switches the lines off again. Nothing is logged per task or per operation. Thread-safe.
void set_logger(std::shared_ptr<spdlog::logger> logger);

/// A sink for guardrails::set_sink() or set_callback() that writes reports as warnings of `logger`; panics and stalls go to
/// standard error too, because the logger may be what is stuck. Give it an asynchronous logger.
[[nodiscard]] std::shared_ptr<guardrails::report_sink> logger_sink(std::shared_ptr<spdlog::logger> logger);

}  // namespace belay
