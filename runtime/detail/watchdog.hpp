// The watchdog: one thread per runtime that looks at the workers' epochs. It takes over the work of a worker that is stuck
// (promise 6), and tells the observer of one that is stuck for long.
#pragma once

#include <belay/runtime/detail/core.hpp>
#include <belay/runtime/detail/deadlock_watch.hpp>
#include <belay/runtime/detail/lost_time.hpp>
#include <belay/runtime/detail/pool_watch.hpp>
#include <belay/runtime/detail/starvation_watch.hpp>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

namespace belay::detail {

class watchdog {
public:
    explicit watchdog(runtime_core& core);
    watchdog(const watchdog&) = delete;
    watchdog& operator=(const watchdog&) = delete;
    ~watchdog();

    void start();
    void stop() noexcept;
    /// After a worker was taken out of the idle set: somebody runs. One load unless the watchdog sleeps.
    void notify() noexcept {
        // seq_cst, pairs with the sleep in main(): either it sees the worker missing in the set, or we see that it sleeps.
        if (asleep_.load(std::memory_order_seq_cst)) wake();
    }

    /// After a worker was counted in place: looks at it within a tick.
    void hurry() noexcept;
    /// Any thread: what a ready task has waited for a worker at least, lately.
    [[nodiscard]] std::int64_t longest_ready_wait_ns() const noexcept { return starving_.longest_wait_ns(); }
    /// Stopped scopes are to be listed.
    [[nodiscard]] bool watches_stops() const noexcept { return stop_limit_ns_ > 0; }
    /// After one was: looks whether it ends in time.
    void expect_stop() noexcept {
        notify();
        hurry();
    }

private:
    struct view {
        std::uint64_t epoch = 0;
        std::int64_t since_ns = 0;  // when this epoch was first seen
        std::int64_t next_report_ns = 0;  // of the poll's age; doubles
        bool suspected = false;  // the observer has taken its first look
        bool stuck = false;  // in one poll for the whole tick
    };
    void main() noexcept;
    void wake() noexcept;
    [[nodiscard]] bool all_sleep() const noexcept;
    [[nodiscard]] std::int64_t tick() const noexcept;
    std::int64_t set_due(std::int64_t due) noexcept;
    bool look(std::int64_t now, std::int64_t late) noexcept;
    void note_late(std::int64_t now, std::int64_t late) noexcept;
    void look_at_stops(std::int64_t now) noexcept;
    void sleep(std::unique_lock<std::mutex>& guard) noexcept;
    void report(unsigned index, view& seen, std::int64_t now, std::int64_t late) noexcept;

    runtime_core& core_;
    std::vector<view> views_;
    std::int64_t tick_ns_;
    std::int64_t in_place_tick_ns_;  // while somebody blocks in place
    std::int64_t threshold_ns_;
    std::int64_t stop_limit_ns_;  // 0: stops are not watched
    std::int64_t stop_tick_ns_;  // while one is
    lost_time stops_lost_;
    deadlock_watch deadlocks_;
    pool_watch pools_;
    starvation_watch starving_;
    std::mutex lock_;
    std::condition_variable wakeup_;
    bool stopping_ = false;
    bool hurried_ = false;
    std::atomic<bool> asleep_{false};
    std::atomic<std::int64_t> due_ns_{0};  // when it looks next
    std::thread thread_;
};

}  // namespace belay::detail
