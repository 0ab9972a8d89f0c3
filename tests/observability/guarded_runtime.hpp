// A runtime with a policy, and what tests look for in the reports of its guardrails.
#pragma once

#include <belay/runtime/runtime.hpp>
#include <belay/tests/observability/capture_sink.hpp>

#include <cstdint>
#include <source_location>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

namespace belay::test {

inline runtime_options with_policy(std::string policy, unsigned workers = 2) {
    runtime_options options;
    options.workers = workers;
    options.name = "guarded";
    options.guardrails = std::move(policy);
    return options;
}

inline std::string text_of(const captured_reports& captured, guardrail kind) {
    auto reports = captured.sink->of(kind);
    return reports.empty() ? "no report" : reports.front().to_text();
}

/// As it stands in a report that names this line of a test; the folder in front of it does not matter.
inline std::string place(std::uint_least32_t line, std::source_location here = std::source_location::current()) {
    std::string_view file = here.file_name();
    return std::string{file.substr(file.rfind('/') + 1)} + ":" + std::to_string(line);
}

inline void wait_for_reports(const capture_sink& sink, std::size_t count) {
    while (sink.written() < count) std::this_thread::yield();
}

[[gnu::noinline]] inline void compute_until_reported(const capture_sink& sink) {
    while (sink.written() == 0) {}
    asm volatile("" ::: "memory");
}

}  // namespace belay::test
