// The runtime's clock: the steady clock, or on a thread that has a simulation the simulation's time.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace belay::detail {

/// Time that only its simulation moves. In nanoseconds, like every time inside the runtime.
struct virtual_clock {
    std::int64_t now_ns = 0;
};

/// How many threads have a virtual clock. Not 0 in tests only: whoever asks for the time in production pays one load.
extern constinit std::atomic<int> virtual_clocks;

/// This thread's, or null. Not inlined: the address of a thread-local must not survive a suspension.
const virtual_clock* this_thread_clock() noexcept;

/// Gives the thread that makes it a virtual clock, until that thread destroys it. One at a time.
class virtual_time {
public:
    explicit virtual_time(const virtual_clock& clock) noexcept;
    virtual_time(const virtual_time&) = delete;
    virtual_time& operator=(const virtual_time&) = delete;
    ~virtual_time();
};

/// In nanoseconds of std::chrono::steady_clock, the unit of every deadline inside the runtime.
inline std::int64_t now_ns() noexcept {
    // relaxed: a thread that has a virtual clock has counted it itself.
    if (virtual_clocks.load(std::memory_order_relaxed) != 0) [[unlikely]] {
        if (const virtual_clock* clock = this_thread_clock()) return clock->now_ns;
    }
    return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace belay::detail
