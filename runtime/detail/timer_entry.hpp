// What a worker's timer wheel holds: a node with an action.
#pragma once

#include <belay/runtime/detail/timer_wheel.hpp>

#include <cstdint>

namespace belay::detail {

class runtime_core;
class worker;

/// Armed and disarmed under the lock of its home worker's wheel. Once expired it is out of reach of disarm(), and fire()
/// runs exactly once, without the lock, on the home worker or on the watchdog that stands in for it.
class timer_entry : public timer_node {
public:
    virtual void fire() noexcept = 0;
    worker* home = nullptr;

protected:
    timer_entry() = default;
    ~timer_entry() = default;
};

/// Arms on the current worker, which becomes the home. Only from a worker.
void arm_timer(timer_entry& entry, std::int64_t deadline_ns) noexcept;
/// Arms on the current worker if this thread is one of the runtime's, else on the first worker, which is woken. Any thread.
void arm_timer_anywhere(runtime_core& core, timer_entry& entry, std::int64_t deadline_ns) noexcept;
/// Any thread. True: it will not fire. False: it has fired or is firing.
bool disarm_timer(timer_entry& entry) noexcept;

}  // namespace belay::detail
