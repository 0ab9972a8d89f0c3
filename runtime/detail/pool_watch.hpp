// Whether somebody waits for long for a thread of a blocking pool.
#pragma once

#include <belay/runtime/detail/core.hpp>
#include <belay/runtime/detail/deadline.hpp>
#include <belay/runtime/detail/lost_time.hpp>

#include <cstdint>

namespace belay::detail {

/// The watchdog's own: one thread. Looks at the runtime's own pool and at those that were made for it.
class pool_watch {
public:
    explicit pool_watch(runtime_core& core) noexcept;
    [[nodiscard]] std::int64_t tick() const noexcept { return tick_ns_; }
    /// Does nothing before a tick has passed since the last look.
    void look(std::int64_t now) noexcept;
    /// The watchdog looks so much later than it wanted to.
    void note_late(std::int64_t now, std::int64_t late) noexcept { lost_.note(now, late); }
    /// All workers have gone to sleep. What they queued since the last look has not been seen yet.
    void begin_idle() noexcept { somebody_waits_ = true; }
    /// When to look next although no worker runs: while somebody waits for a thread.
    [[nodiscard]] std::int64_t due_asleep() const noexcept {
        return somebody_waits_ && tick_ns_ != no_deadline ? due_ns_ : no_deadline;
    }

private:
    void look_at(blocking_core& pool, std::int64_t now) noexcept;

    runtime_core& core_;
    const std::int64_t limit_ns_;
    const std::int64_t tick_ns_;  // no_deadline: off
    std::int64_t due_ns_ = 0;
    bool somebody_waits_ = false;
    lost_time lost_;
};

}  // namespace belay::detail
