// Source locations and numbers as a reader wants to see them in a report.
#pragma once

#include <belay/observability/report.hpp>
#include <belay/runtime/observer.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <source_location>
#include <string>
#include <string_view>

namespace belay::detail {

/// "load_user(uint64_t)" of whatever the compiler calls it: without the task type in front of it, without the namespace of
/// belay, and for GCC's "void f(f(int)::_Z1fi.Frame*)" the function that was written.
std::string function_text(std::string_view pretty);
/// "src/user.cpp:41"; "an unknown place" when there is no location.
std::string place_text(const std::source_location& at);
/// "src/user.cpp:41 in load_user(uint64_t)".
std::string site_text(const std::source_location& at);
/// "1 task", "3 tasks".
std::string counted(std::size_t n, const char* one, const char* many);
/// A demangled name, or the name itself.
std::string demangled(const char* name);
/// "52 ms", "1.3 s", "800 us".
std::string duration_text(std::chrono::nanoseconds length);
/// task 17 "session", or "task 17".
std::string task_text(const task_snapshot& task);
/// The await chain of a task, innermost first.
report_stack async_stack(const task_snapshot& task, std::string_view innermost_note);

/// A hash that names a place and survives restarts: FNV-1a over file names and lines.
class place_hash {
public:
    place_hash& add(std::string_view text) noexcept;
    place_hash& add(const std::source_location& at) noexcept;
    place_hash& add(std::uint64_t number) noexcept;
    [[nodiscard]] std::uint64_t value() const noexcept { return value_; }

private:
    std::uint64_t value_ = 0xcbf29ce484222325U;
};

}  // namespace belay::detail
