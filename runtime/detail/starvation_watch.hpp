// Whether ready tasks, or timers that are due, wait for long although their workers go on running tasks.
#pragma once

#include <belay/runtime/detail/core.hpp>
#include <belay/runtime/detail/deadline.hpp>
#include <belay/runtime/detail/runner_tally.hpp>
#include <belay/runtime/detail/starvation_episode.hpp>
#include <belay/runtime/detail/wait_mark.hpp>
#include <belay/runtime/observer.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace belay::detail {

/// The watchdog's own: one thread. Only reads what the workers write for themselves.
///
/// What it says is true: a wait is a lower bound (see wait_mark), in which no worker was found in one poll for as long as a stall, none
/// blocked in place, the watchdog was not late, and the workers had CPUs. It does not see everything: a task that goes from one queue to
/// another begins to wait anew, as do all when a poll has stalled; so it looks at all queues together too (see crowd()).
class starvation_watch {
public:
    explicit starvation_watch(runtime_core& core);
    /// How often to look at least: more often while something has waited for half of the limit.
    [[nodiscard]] std::int64_t tick() const noexcept { return !on() ? no_deadline : suspicious_ ? pace_ns_ : usual_tick_ns_; }
    void look(std::int64_t now) noexcept;
    /// A poll of that worker is told of as a stall: what has waited for it is no finding of its own.
    void note_stall(unsigned index) noexcept {
        if (on()) views_[index].stall_told = true;
    }
    /// All workers have gone to sleep: nothing waits.
    void begin_idle() noexcept {
        episode_.end();
        peak_ns_ = peak_before_ns_ = 0;
        longest_wait_ns_.store(0, std::memory_order_relaxed);
    }
    /// Any thread: what a ready task has waited at least, the longest of the last looks.
    [[nodiscard]] std::int64_t longest_wait_ns() const noexcept { return longest_wait_ns_.load(std::memory_order_relaxed); }

private:
    enum lane : unsigned { forked, woken, pinned, timers, lanes };
    struct worker_view {
        std::uint64_t epoch = 0;
        std::int64_t in_poll_since_ns = 0;  // when this epoch was first seen
        std::uint64_t host_turns = 0;
        bool on_duty = false;
        bool broken = true;  // what waits there now says nothing
        bool stall_told = false;  // since the last look
        bool stalled = false;
        work_meter done;
        std::array<queue_ends, lanes> ends;
        std::array<wait_mark, lanes> marks;
        std::array<waiting_time, lanes> waits;
        std::int64_t timer_ns = 0;  // the earliest one
        std::uint64_t timer_changes = 0;
    };

    [[nodiscard]] bool on() const noexcept { return limit_ns_ > 0; }
    bool meet(unsigned index, bool late) noexcept;
    void read_ends(unsigned index) noexcept;
    [[nodiscard]] std::uint64_t takes(std::uint64_t* polls) const noexcept;
    [[nodiscard]] queue_ends crowd() const noexcept;
    [[nodiscard]] work_meter average() const noexcept;
    waiting_time measure(wait_mark& mark, const queue_ends& ends, const work_meter& done, bool broken) noexcept;
    void measure_all(bool broken) noexcept;
    void note_longest() noexcept;
    void sample_runners() noexcept;
    void find_at_worker(unsigned index) noexcept;
    void find_at_all() noexcept;
    void tell(starved_queue queue, unsigned worker, const waiting_time& wait) noexcept;
    [[nodiscard]] std::size_t ready_in(starved_queue queue, unsigned worker) const noexcept;

    runtime_core& core_;
    const std::int64_t limit_ns_;  // 0: off
    const std::int64_t stall_ns_;  // a poll that lasts for so long is a stall
    const std::int64_t usual_tick_ns_;
    const std::int64_t pace_ns_;
    const std::int64_t longest_gap_ns_;
    std::vector<worker_view> views_;
    unsigned count_ = 0;  // workers at this look
    wait_mark injected_mark_;
    wait_mark crowd_mark_;
    queue_ends injected_ends_;
    queue_ends crowd_ends_;
    waiting_time injected_wait_;
    waiting_time crowd_wait_;
    std::int64_t due_ns_ = 0;
    std::int64_t looked_ns_ = 0;  // 0: the next look begins anew
    std::int64_t before_ns_ = 0;  // the clock around this look
    std::int64_t after_ns_ = 0;
    std::int64_t waits_ns_ = 0;  // the longest wait found in this look
    std::int64_t ready_waits_ns_ = 0;  // ... of a task
    bool suspicious_ = false;
    runner_tally runners_;
    starvation_episode episode_;
    std::atomic<std::int64_t> longest_wait_ns_{0};
    std::int64_t peak_ns_ = 0;  // of this period
    std::int64_t peak_before_ns_ = 0;
    std::int64_t period_began_ns_ = 0;
};

}  // namespace belay::detail
