// What the watchdog tells of a scope that ignores its stop.
#pragma once

#include <belay/runtime/observer.hpp>
#include <belay/runtime/stop.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <source_location>
#include <string_view>

namespace belay::detail {

class record;

struct overdue_stop {
    static constexpr std::size_t most_tasks = 8;
    std::array<char, 48> scope{};  // zero-terminated, cut: the scope may be gone when it is read
    stop_reason why = stop_reason::none;
    std::int64_t since_ns = 0;
    std::size_t total = 0;
    std::size_t described = 0;
    std::array<task_snapshot, most_tasks> tasks;
    std::array<const record*, most_tasks> records{};  // of these, which may be gone
    std::source_location awaited;

    void set_scope(std::string_view name) noexcept {
        auto length = std::min(name.size(), scope.size() - 1);
        std::copy_n(name.data(), length, scope.data());
        scope[length] = '\0';
        described = 0;
    }
};

}  // namespace belay::detail
