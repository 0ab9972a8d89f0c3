// Which tasks were found running, look for look: who keeps the others waiting.
#pragma once

#include <belay/runtime/observer.hpp>

#include <array>
#include <cstddef>

namespace belay::detail {

class runner_tally {
public:
    static constexpr unsigned any_worker = ~0U;
    struct entry {
        unsigned worker = 0;
        unsigned seen = 0;  // looks at which the worker was in this task
        unsigned spent = 0;  // of these: the task was also the last on the worker to use its budget up
        unsigned look = 0;  // the latest one
        task_snapshot task;  // the latest
    };

    void clear() noexcept { used_ = 0, looks_ = 0; }
    void begin_look() noexcept { ++looks_; }
    [[nodiscard]] unsigned looks() const noexcept { return looks_; }

    /// Once in a look: a task that has gone to the next worker meanwhile is not two.
    void add(unsigned worker, const task_snapshot& task, bool spent) noexcept {
        for (std::size_t i = 0; i < used_; ++i)
            if (entries_[i].task.id == task.id && entries_[i].look == looks_) return;
        entry& e = place_for(worker, task.id);
        e.look = looks_;
        ++e.seen;
        e.spent += spent ? 1 : 0;
        e.task = task;
    }

    /// Who was found there most often; anywhere, for any_worker. Its `seen` is 0 if nobody was.
    [[nodiscard]] entry most_seen(unsigned worker) const noexcept {
        entry best;
        for (std::size_t i = 0; i < used_; ++i) {
            if (worker != any_worker && entries_[i].worker != worker) continue;
            entry e = entries_[i];
            // It may have moved from worker to worker.
            for (std::size_t j = 0; worker == any_worker && j < used_; ++j) {
                if (j == i || entries_[j].task.id != e.task.id) continue;
                e.seen += entries_[j].seen;
                e.spent += entries_[j].spent;
            }
            if (e.seen > best.seen) best = e;
        }
        return best;
    }

private:
    /// Of many tasks those that are seen again and again are what matters: a new one takes the place of one that was seen least.
    entry& place_for(unsigned worker, std::uint64_t id) noexcept {
        std::size_t least = 0;
        for (std::size_t i = 0; i < used_; ++i) {
            if (entries_[i].worker == worker && entries_[i].task.id == id) return entries_[i];
            if (entries_[i].seen < entries_[least].seen) least = i;
        }
        entry& fresh = used_ < entries_.size() ? entries_[used_++] : entries_[least];
        fresh = {};
        fresh.worker = worker;
        return fresh;
    }

    std::array<entry, 16> entries_;
    std::size_t used_ = 0;
    unsigned looks_ = 0;
};

}  // namespace belay::detail
