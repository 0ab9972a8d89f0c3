// How long something in a queue has waited, from a look at the queue now and then: nothing is written on the way of a task. Pure.
#pragma once

#include <cstdint>

namespace belay::detail {

/// The two ends of a queue as seen in one look. Entries are numbered: those below `taken` are gone, and of those below `queued` all that
/// are not gone are there. As long as a later `taken` is below this `queued`, one of those that are there now still is.
struct queue_ends {
    std::uint64_t taken = 0;
    std::uint64_t queued = 0;
};

/// Of n tasks that are ready, in whatever queues, some have not run after fewer than n polls. `doubtful` of them may have been counted twice.
constexpr queue_ends crowd_of(std::uint64_t polls, std::uint64_t ready, std::uint64_t doubtful) noexcept {
    return {polls, polls + (ready > doubtful ? ready - doubtful : 0)};
}

/// What a worker has done until one look, or what all of them have on the average.
struct work_meter {
    std::int64_t cpu_ns = 0;  // of its thread
    std::uint64_t polls = 0;
    std::uint64_t budget_yields = 0;
};

/// What was done while something waited.
struct waiting_time {
    std::int64_t wall_ns = 0;
    std::int64_t cpu_ns = 0;
    std::uint64_t polls = 0;
    std::uint64_t budget_yields = 0;
};

/// The worker's tasks are to blame, and not the host: the worker has computed for the limit itself, and for 80 % of the wait. What waits
/// while a worker sleeps in a system call, or has no CPU, does not starve. Two whole polls at least: one that does not end is a stall. (The
/// first that is counted may have begun before the wait.)
constexpr bool is_starvation(const waiting_time& wait, std::int64_t limit_ns) noexcept {
    return wait.polls >= 3 && wait.wall_ns >= limit_ns && wait.cpu_ns >= limit_ns && wait.cpu_ns >= wait.wall_ns / 5 * 4;
}

/// Notes how far a queue was filled, and tells for how long one of those entries is still there. That is a lower bound of what the oldest
/// entry has waited, and exact; in a queue that is served in its order it comes near to it.
class wait_mark {
public:
    /// The clock was read before and after the ends were: an entry is there since `after_ns` at the latest, and until `before_ns` at
    /// least. Nothing waits (wall_ns is 0) when all that was there at the mark is gone: then the mark is set anew.
    waiting_time look(const queue_ends& ends, const work_meter& done, std::int64_t before_ns, std::int64_t after_ns) noexcept {
        if (ends.taken < filled_to_)
            return {before_ns - since_ns_, done.cpu_ns - done_.cpu_ns, done.polls - done_.polls,
                    done.budget_yields - done_.budget_yields};
        restart(ends, done, after_ns);
        return {};
    }
    /// What has waited so far does not count.
    void restart(const queue_ends& ends, const work_meter& done, std::int64_t after_ns) noexcept {
        filled_to_ = ends.queued;
        done_ = done;
        since_ns_ = after_ns;
    }
    [[nodiscard]] std::int64_t since_ns() const noexcept { return since_ns_; }

private:
    std::uint64_t filled_to_ = 0;
    std::int64_t since_ns_ = 0;
    work_meter done_;
};

}  // namespace belay::detail
