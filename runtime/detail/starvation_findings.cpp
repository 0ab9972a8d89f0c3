// Of what waits, what is a finding, and who ran meanwhile.
#include <belay/runtime/detail/snapshot.hpp>
#include <belay/runtime/detail/starvation_watch.hpp>
#include <belay/runtime/detail/worker.hpp>

#include <bit>
#include <source_location>

namespace belay::detail {
namespace {

constexpr int tries_to_see_a_poll = 3;

/// To be compared. One place in the source has one, but for those in headers, which have one in each object file.
const void* key_of(std::source_location at) noexcept {
    static_assert(sizeof at == sizeof(const void*));
    return std::bit_cast<const void*>(at);
}

}  // namespace

void starvation_watch::sample_runners() noexcept {
    runners_.begin_look();
    task_snapshot found;
    for (unsigned i = 0; i < count_; ++i) {
        const worker& w = core_.workers[i];
        // Polls of microseconds end while they are read; but then it is not they who keep the others waiting.
        for (int tries = 0; tries < tries_to_see_a_poll; ++tries) {
            auto epoch = w.epoch();
            if ((epoch & 1U) == 0 || !snapshot_running(w, epoch, found) || found.id == 0) continue;
            runners_.add(i, found, w.last_spender.load(std::memory_order_relaxed) == found.id);
            break;
        }
    }
}

/// The longest wait there.
void starvation_watch::find_at_worker(unsigned index) noexcept {
    const worker_view& view = views_[index];
    unsigned longest = lanes;
    for (unsigned which = 0; which < lanes; ++which) {
        if (!is_starvation(view.waits[which], limit_ns_)) continue;
        if (longest != lanes && view.waits[which].wall_ns <= view.waits[longest].wall_ns) continue;
        // The wheel's earliest expiry may be that of a timer that was taken out.
        if (which == timers && !core_.workers[index].has_due_timer(view.marks[timers].since_ns())) continue;
        longest = which;
    }
    if (longest == lanes) return;
    auto queue = longest == timers ? starved_queue::timers : longest == pinned ? starved_queue::pinned : starved_queue::own;
    tell(queue, index, view.waits[longest]);
}

void starvation_watch::find_at_all() noexcept {
    if (is_starvation(injected_wait_, limit_ns_)) tell(starved_queue::injected, starvation_episode::any_worker, injected_wait_);
    if (is_starvation(crowd_wait_, limit_ns_)) tell(starved_queue::all, starvation_episode::any_worker, crowd_wait_);
}

void starvation_watch::tell(starved_queue queue, unsigned worker, const waiting_time& wait) noexcept {
    auto runner = runners_.most_seen(worker);
    if (!can_be_shown(runner.task)) runner = {};
    if (!episode_.tell(queue, worker, key_of(runner.task.spawned))) return;
    starvation found;
    found.runtime = core_.name;
    found.queue = queue;
    found.worker = worker;
    found.waited = std::chrono::nanoseconds{wait.wall_ns};
    found.waiting = ready_in(queue, worker);
    found.polls = wait.polls;
    found.budget_yields = wait.budget_yields;
    found.task = runner.task;
    found.seen = runner.seen;
    found.spent = runner.spent;
    found.looks = runners_.looks();
    core_.watcher->starved(found);
}

/// Or how many timers are armed.
std::size_t starvation_watch::ready_in(starved_queue queue, unsigned worker) const noexcept {
    std::size_t ready = core_.injected();
    switch (queue) {
    case starved_queue::own: return core_.workers[worker].queued();
    case starved_queue::pinned: return core_.workers[worker].pinned.size();
    case starved_queue::timers: return core_.workers[worker].timers();
    case starved_queue::injected: return ready;
    case starved_queue::all: break;
    }
    for (unsigned i = 0; i < count_; ++i) ready += core_.workers[i].queued();
    return ready;
}

}  // namespace belay::detail
