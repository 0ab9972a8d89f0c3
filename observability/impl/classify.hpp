// Why a poll takes long: the task computes, the task sleeps in a system call, or the host gives the worker no CPU. Pure.
#pragma once

#include <belay/observability/impl/reporter.hpp>

#include <algorithm>
#include <chrono>

namespace belay::detail {

/// What one thread did during one stretch of a poll.
struct stall_window {
    std::chrono::nanoseconds wall{};
    std::chrono::nanoseconds cpu{};
    std::chrono::nanoseconds run_queue{};  ///< runnable, but without a CPU
    char state = '?';                      ///< at its end, as in /proc/<pid>/stat: R running or runnable, S or D asleep
    std::chrono::nanoseconds lateness{};   ///< how late the watchdog itself was: the host's fault, not the task's
};

/// Where the time of a window went; the parts add up to `wall` unless the clocks disagree.
struct stall_split {
    std::chrono::nanoseconds cpu{};
    std::chrono::nanoseconds waiting{};  ///< for a CPU
    std::chrono::nanoseconds asleep{};
};

inline stall_split split(const stall_window& w) noexcept {
    using ns = std::chrono::nanoseconds;
    auto cpu = std::clamp(w.cpu, ns{0}, w.wall);
    auto waiting = std::clamp(w.run_queue, ns{0}, w.wall - cpu);
    auto off = w.wall - cpu - waiting;
    // The kernel books the delay of a runnable thread when it next runs; until then it looks like sleep.
    bool asleep = w.state == 'S' || w.state == 'D';
    if (!asleep) return {cpu, waiting + off, ns{0}};
    auto late = std::clamp(w.lateness, ns{0}, off);
    return {cpu, waiting + late, off - late};
}

/// `threshold` is what the task is allowed. Only what fills 80 % of it (or of the window, when that is shorter) is blamed on
/// the task: 8 spinners on 2 CPUs make a wall-clock rule fire on 162 innocent polls in 8 s, and this one on none.
inline stall_class classify(const stall_window& w, std::chrono::nanoseconds threshold) noexcept {
    auto parts = split(w);
    auto blame = std::min(threshold, w.wall) * 4 / 5;
    if (blame.count() <= 0) return stall_class::starved;
    if (parts.asleep >= blame) return stall_class::blocked;
    if (parts.cpu >= blame) return stall_class::hog;
    return stall_class::starved;
}

}  // namespace belay::detail
