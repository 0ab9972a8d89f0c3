#include <belay/runtime/detail/starvation_watch.hpp>

#include <belay/runtime/detail/guarded.hpp>
#include <belay/runtime/detail/thread_cpu.hpp>
#include <belay/runtime/detail/worker.hpp>

#include <algorithm>
#include <chrono>
#include <utility>

namespace belay::detail {
namespace {

constexpr std::int64_t shortest_tick_ns = 1'000'000;

std::int64_t part_of(std::int64_t limit_ns, std::int64_t parts) noexcept { return std::max(limit_ns / parts, shortest_tick_ns); }

}  // namespace

starvation_watch::starvation_watch(runtime_core& core)
    : core_{core},
      limit_ns_{guarded ? core.watcher->starvation_limit().count() : 0},
      stall_ns_{core.watcher->stall_threshold().count() > 0 ? core.watcher->stall_threshold().count() : limit_ns_},
      usual_tick_ns_{part_of(limit_ns_, 8)},
      pace_ns_{part_of(limit_ns_, 32)},
      longest_gap_ns_{std::max(limit_ns_ / 4, 4 * shortest_tick_ns)},
      views_(limit_ns_ > 0 ? core.workers.capacity() : 0) {}

void starvation_watch::look(std::int64_t now) noexcept {
    if (!on() || now < due_ns_) return;
    // The watchdog's own ticks may be a little longer than half of ours: with a whole one, each second of them could be left out.
    due_ns_ = saturating_add(now, tick() / 2);
    auto count = static_cast<unsigned>(core_.workers.size());
    bool all_broken = count != count_;  // a stand-in has come
    count_ = count;

    // First the clocks of the threads, then, between two looks at the clock, the queues: see wait_mark.
    std::int64_t began = now_ns();
    bool late = began - looked_ns_ > longest_gap_ns_;
    for (unsigned i = 0; i < count_; ++i) all_broken |= meet(i, late);
    before_ns_ = now_ns();
    for (unsigned i = 0; i < count_; ++i) read_ends(i);
    // Taken before queued, see taken_from_injected().
    injected_ends_.taken = core_.taken_from_injected();
    injected_ends_.queued = injected_ends_.taken + core_.injected();
    crowd_ends_ = crowd();
    after_ns_ = now_ns();
    // Without a CPU in the middle of it: what was read of the threads' clocks is older than it looks. This look says nothing, and no
    // wait may begin with it.
    bool slow = after_ns_ - began > pace_ns_;
    looked_ns_ = slow ? 0 : after_ns_;

    bool disturbed = late || slow;
    for (unsigned i = 0; i < count_; ++i) {
        views_[i].broken |= slow;
        all_broken |= views_[i].broken && views_[i].on_duty;
        disturbed |= views_[i].stalled;
    }
    measure_all(all_broken || core_.in_place.load(std::memory_order_relaxed) != 0);
    note_longest();
    bool was_suspicious = std::exchange(suspicious_, waits_ns_ >= limit_ns_ / 2);
    if (was_suspicious && !suspicious_) runners_.clear();
    if (suspicious_) sample_runners();
    episode_.note(suspicious_ || disturbed, after_ns_, limit_ns_);
    if (waits_ns_ < limit_ns_) return;
    for (unsigned i = 0; i < count_; ++i) find_at_worker(i);
    find_at_all();
}

/// What does not depend on the queues, and whether the time since the last look counts. True if it has begun or ended to serve.
bool starvation_watch::meet(unsigned index, bool late) noexcept {
    worker& w = core_.workers[index];
    worker_view& view = views_[index];
    std::int64_t now = now_ns();
    int tid = w.tid.load(std::memory_order_relaxed);
    std::int64_t cpu = tid != 0 ? thread_cpu_ns(tid) : -1;
    auto epoch = w.epoch();
    if (epoch != view.epoch || (epoch & 1U) == 0) view.in_poll_since_ns = now;
    view.epoch = epoch;
    view.done = {cpu, w.counters.polls.load(std::memory_order_relaxed), w.counters.budget_yields.load(std::memory_order_relaxed)};
    auto turns = w.host_turns.load(std::memory_order_relaxed);  // after the polls: of a turn that is not counted there are none
    bool was_on_duty = std::exchange(view.on_duty, w.on_duty());
    bool same_turn = std::exchange(view.host_turns, turns) == turns;
    // Of a poll that the watchdog has told of; and of one that it will, or would if it looked for stalls.
    view.stalled = std::exchange(view.stall_told, false) || now - view.in_poll_since_ns >= stall_ns_;
    view.broken = late || cpu < 0 || !view.on_duty || w.in_place() || !same_turn || view.stalled;
    return view.on_duty != was_on_duty;
}

void starvation_watch::read_ends(unsigned index) noexcept {
    const worker& w = core_.workers[index];
    worker_view& view = views_[index];
    auto number = [](std::int64_t n) { return static_cast<std::uint64_t>(n); };
    // The fork lane loses entries at both ends: only of the oldest it is known that it is the same one as long as nobody takes it.
    auto oldest = number(w.fork_lane().taken());
    view.ends[forked] = {oldest, std::min(number(w.fork_lane().pushed()), oldest + 1)};
    auto first = number(w.wake_lane().taken());
    view.ends[woken] = {first, number(w.wake_lane().pushed())};
    auto popped = w.pinned.popped();
    view.ends[pinned] = {popped, w.pinned.pushed()};
    // A queue of one: whatever is earliest, and it is gone when something else is. An expiry that does not change and is over says that
    // the worker has not looked: firing, or finding nothing to fire, changes it.
    auto timer = w.next_timer_ns();
    if (timer != view.timer_ns) ++view.timer_changes;
    view.timer_ns = timer;
    view.ends[timers] = {view.timer_changes, view.timer_changes + (timer <= before_ns_ ? 1 : 0)};
}

/// How often something was taken out of a queue, and at least as often as tasks were polled. Only grows.
std::uint64_t starvation_watch::takes(std::uint64_t* polls) const noexcept {
    std::uint64_t taken = core_.taken_from_injected();
    std::uint64_t polled = 0;
    for (unsigned i = 0; i < count_; ++i) {
        const worker& w = core_.workers[i];
        taken += static_cast<std::uint64_t>(w.fork_lane().taken()) + static_cast<std::uint64_t>(w.wake_lane().taken());
        polled += w.counters.polls.load(std::memory_order_relaxed);
    }
    if (polls != nullptr) *polls = polled;
    return taken + polled;
}

/// All queues but the pinned ones as one, in which each poll takes one task. Of n tasks that are ready, some have not run after fewer
/// than n polls, however they went from queue to queue: thieves, handovers and takeovers move them all the time. Counting them while they
/// move, some may be met twice; each of those was taken out of a queue meanwhile. And a worker may have popped one task whose poll is
/// not counted yet.
queue_ends starvation_watch::crowd() const noexcept {
    std::uint64_t polls = 0;
    std::uint64_t before = takes(&polls);
    std::uint64_t ready = core_.injected();
    for (unsigned i = 0; i < count_; ++i) ready += core_.workers[i].fork_lane().size() + core_.workers[i].wake_lane().size();
    std::uint64_t doubtful = takes(nullptr) - before + count_;
    return crowd_of(polls, ready, doubtful);
}

/// The polls are those of all.
work_meter starvation_watch::average() const noexcept {
    work_meter sum;
    std::int64_t on_duty = 0;
    for (unsigned i = 0; i < count_; ++i) {
        const worker_view& view = views_[i];
        sum.polls += view.done.polls;
        sum.budget_yields += view.done.budget_yields;
        if (!view.on_duty) continue;
        sum.cpu_ns += view.done.cpu_ns;
        ++on_duty;
    }
    sum.cpu_ns /= std::max<std::int64_t>(on_duty, 1);
    return sum;
}

waiting_time starvation_watch::measure(wait_mark& mark, const queue_ends& ends, const work_meter& done, bool broken) noexcept {
    if (broken) {
        mark.restart(ends, done, after_ns_);
        return {};
    }
    auto wait = mark.look(ends, done, before_ns_, after_ns_);
    waits_ns_ = std::max(waits_ns_, wait.wall_ns);
    return wait;
}

void starvation_watch::measure_all(bool broken) noexcept {
    waits_ns_ = 0;
    auto done = average();
    injected_wait_ = measure(injected_mark_, injected_ends_, done, broken);
    // The queues of the only worker are all.
    if (core_.regular_workers > 1) crowd_wait_ = measure(crowd_mark_, crowd_ends_, done, broken);
    for (unsigned i = 0; i < count_; ++i) {
        worker_view& view = views_[i];
        for (unsigned which = 0; which < timers; ++which)
            view.waits[which] = measure(view.marks[which], view.ends[which], view.done, view.broken);
    }
    ready_waits_ns_ = waits_ns_;  // so far of tasks alone
    for (unsigned i = 0; i < count_; ++i) {
        worker_view& view = views_[i];
        view.waits[timers] = measure(view.marks[timers], view.ends[timers], view.done, view.broken);
    }
}

/// A mark begins anew each time that it is reached: the highest of this period and the one before is kept, or a scrape would see whatever
/// the moment has.
void starvation_watch::note_longest() noexcept {
    if (after_ns_ - period_began_ns_ >= limit_ns_) {
        period_began_ns_ = after_ns_;
        peak_before_ns_ = std::exchange(peak_ns_, 0);
    }
    peak_ns_ = std::max(peak_ns_, ready_waits_ns_);
    longest_wait_ns_.store(std::max(peak_ns_, peak_before_ns_), std::memory_order_relaxed);  // a statistic
}

}  // namespace belay::detail
