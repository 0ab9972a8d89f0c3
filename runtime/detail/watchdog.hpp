// The watchdog: one thread per runtime that looks at the workers' epochs. It takes over the work of a worker that is stuck
// (promise 6), and tells the observer of one that is stuck for long.
#pragma once

#include <belay/runtime/detail/core.hpp>

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
    /// A sleeping worker was woken: somebody runs. One relaxed load unless the watchdog sleeps.
    void notify() noexcept {
        // seq_cst, pairs with the sleep in main(): either it sees that somebody runs, or we see that it sleeps.
        if (asleep_.load(std::memory_order_seq_cst)) wake();
    }
    void notify_from_worker() noexcept { notify(); }

private:
    struct view {
        std::uint64_t epoch = 0;
        std::int64_t since_ns = 0;       // when this epoch was first seen
        std::int64_t next_report_ns = 0; // of the poll's age; doubles
    };
    void main() noexcept;
    void wake() noexcept;
    bool look(std::int64_t now, std::int64_t late) noexcept;
    void report(unsigned index, view& seen, std::int64_t now, std::int64_t late) noexcept;

    runtime_core& core_;
    std::vector<view> views_;
    std::int64_t tick_ns_;
    std::int64_t threshold_ns_;
    std::mutex lock_;
    std::condition_variable wakeup_;
    bool stopping_ = false;
    std::atomic<bool> asleep_{false};
    std::thread thread_;
};

}  // namespace belay::detail
