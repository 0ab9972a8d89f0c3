// From "a poll takes long" to a verdict: keeps what each worker's clocks said when the poll became suspect, and compares.
#pragma once

#include <belay/observability/impl/classify.hpp>
#include <belay/observability/impl/thread_proc.hpp>
#include <belay/runtime/observer.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

namespace belay::detail {

struct stall_verdict {
    stall_class found = stall_class::starved;
    stall_window window;   ///< what the verdict is based on; may be shorter than the poll
    bool first = false;    ///< this poll had no such verdict yet
};

/// Used by one watchdog thread; not thread-safe.
class stall_watch {
public:
    void suspect(unsigned worker, int tid);
    /// Empty when the thread cannot be read or the poll has been given its verdict already. Without an earlier suspect() it
    /// looks at the thread twice, a few milliseconds apart.
    std::optional<stall_verdict> judge(const worker_stall& stall, std::chrono::nanoseconds threshold);

private:
    using clock = std::chrono::steady_clock;
    struct history {
        thread_times before;                       // when the poll became suspect
        std::optional<clock::time_point> starved;  // start of the poll that was last counted as starved
        std::optional<clock::time_point> blamed;   // start of the poll that was last blamed on its task
    };
    history& of(unsigned worker);

    std::vector<history> workers_ = std::vector<history>(16);  // more are added; so many need no memory when there is none
};

}  // namespace belay::detail
