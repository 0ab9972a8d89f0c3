// What has been told of starvation and still goes on. Pure.
#pragma once

#include <belay/runtime/observer.hpp>

#include <array>
#include <cstddef>
#include <cstdint>

namespace belay::detail {

/// One cause keeps several queues waiting: a budget hog its worker's timers, what other threads spawn, and its neighbours in the
/// queue. It is told once, of the queue that came first to the limit. An episode is over when nothing has waited for half of the limit
/// for as long as the limit.
class starvation_episode {
public:
    static constexpr unsigned any_worker = ~0U;  // of `injected` and `all`

    /// After each look: whether something has waited for half of the limit, or the look says nothing.
    void note(bool goes_on, std::int64_t now_ns, std::int64_t limit_ns) noexcept {
        if (goes_on) {
            last_ns_ = now_ns;
        } else if (now_ns - last_ns_ >= limit_ns) {
            end();
        }
    }
    void end() noexcept { used_ = 0; }

    /// True if it is news. `culprit` is where the task was spawned that runs instead; compared, never followed; null if it is not known.
    bool tell(starved_queue queue, unsigned worker, const void* culprit) noexcept {
        for (std::size_t i = 0; i < used_; ++i)
            if (is_same(told_[i], queue, worker, culprit)) return false;
        if (used_ == told_.size()) return false;
        told_[used_++] = {queue, worker, culprit};
        return true;
    }

private:
    struct finding {
        starved_queue queue = starved_queue::own;
        unsigned worker = 0;
        const void* culprit = nullptr;
    };
    /// Pinned tasks may starve at their worker for a reason of their own while the others do, and the other way round.
    static bool is_same(const finding& told, starved_queue queue, unsigned worker, const void* culprit) noexcept {
        if (culprit == nullptr || culprit == told.culprit || worker == told.worker) return true;
        bool of_all = worker == any_worker || told.worker == any_worker;
        return of_all && queue != starved_queue::pinned && told.queue != starved_queue::pinned;
    }

    std::array<finding, 8> told_{};
    std::size_t used_ = 0;
    std::int64_t last_ns_ = 0;
};

}  // namespace belay::detail
