#include <belay/runtime/detail/watchdog.hpp>

#include <belay/runtime/detail/deadline.hpp>
#include <belay/runtime/detail/held_guards.hpp>
#include <belay/runtime/detail/lock_order.hpp>
#include <belay/runtime/detail/overdue_stop.hpp>
#include <belay/runtime/detail/snapshot.hpp>
#include <belay/runtime/detail/time_slice.hpp>
#include <belay/runtime/detail/worker.hpp>
#include <belay/runtime/observer.hpp>

#include <pthread.h>
#include <sys/prctl.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <span>
#include <utility>

namespace belay::detail {
namespace {
constexpr std::int64_t never = no_deadline;
constexpr std::int64_t default_tick_ns = 500'000;
constexpr int quiet_ticks_before_sleep = 20;

std::chrono::steady_clock::time_point at(std::int64_t time_ns) noexcept {
    return std::chrono::steady_clock::time_point{std::chrono::nanoseconds{time_ns}};
}

}  // namespace

watchdog::watchdog(runtime_core& core)
    : core_{core},
      views_(core.workers.capacity()),
      threshold_ns_{core.watcher->stall_threshold().count()},
      stop_limit_ns_{core.watcher->stop_limit().count()},
      stop_tick_ns_{std::max<std::int64_t>(stop_limit_ns_ / 4, 1'000'000)},
      stops_lost_{stop_limit_ns_},
      deadlocks_{core},
      pools_{core},
      starving_{core} {
    // With one worker there is no neighbour to hand work to: only the reports need a tick.
    std::int64_t takeover = core.regular_workers > 1 && core.takeover_tick_ns > 0 ? core.takeover_tick_ns : never;
    std::int64_t reports = threshold_ns_ > 0 ? std::max<std::int64_t>(threshold_ns_ / 4, 1'000'000) : never;
    std::int64_t deadlocks =
        deadlocks_.on() ? std::max<std::int64_t>(deadlocks_.period() / quiet_ticks_before_sleep, 1'000'000) : never;
    tick_ns_ = std::min(takeover, reports);
    // A local_runtime without stall reports has no thread at all.
    if (tick_ns_ != never || core.how != runtime_core::flavour::hosted)
        tick_ns_ = std::min({tick_ns_, deadlocks, pools_.tick(), starving_.tick()});
    if (core.how == runtime_core::flavour::simulated || (tick_ns_ == never && core.how == runtime_core::flavour::hosted))
        stop_limit_ns_ = 0;
    in_place_tick_ns_ = std::min(tick_ns_, core.takeover_tick_ns > 0 ? core.takeover_tick_ns : default_tick_ns);
}

watchdog::~watchdog() { stop(); }

void watchdog::start() {
    if (tick_ns_ == never && core_.how == runtime_core::flavour::hosted) return;
    thread_ = std::thread([this] { main(); });
}

void watchdog::stop() noexcept {
    {
        std::scoped_lock guard(lock_);
        stopping_ = true;
    }
    wakeup_.notify_all();
    if (thread_.joinable()) thread_.join();
}

void watchdog::wake() noexcept {
    own_code mine;
    std::scoped_lock guard(lock_);
    asleep_.store(false, std::memory_order_relaxed);
    wakeup_.notify_all();
}

void watchdog::hurry() noexcept {
    if (due_ns_.load(std::memory_order_seq_cst) <= saturating_add(now_ns(), in_place_tick_ns_)) return;  // soon enough
    own_code mine;
    std::scoped_lock guard(lock_);
    hurried_ = true;
    wakeup_.notify_all();
}

/// Short while somebody blocks in place, and until the last stand-in rests: it is a neighbour whose work can be taken over.
std::int64_t watchdog::tick() const noexcept {
    bool more = core_.in_place.load(std::memory_order_seq_cst) != 0 ||
                core_.serving.load(std::memory_order_seq_cst) > core_.regular_workers;
    std::int64_t usual = std::min(more ? in_place_tick_ns_ : tick_ns_, starving_.tick());
    return core_.overdue.any() ? std::min(usual, stop_tick_ns_) : usual;
}

/// When to look next: at `due`, or a tick from now if that is sooner.
std::int64_t watchdog::set_due(std::int64_t due) noexcept {
    // seq_cst, pairs with hurry(), which comes after the count of workers in place: either it sees how long we are going to wait, or
    // tick() sees the count.
    due_ns_.store(due, std::memory_order_seq_cst);
    std::int64_t soonest = std::min(due, saturating_add(now_ns(), tick()));
    if (soonest != due) due_ns_.store(soonest, std::memory_order_relaxed);
    return soonest;
}

/// Not by epochs: a worker that has woken and is about to poll has an even one. A stand-in that comes or goes is in the idle set
/// only while it is counted: when the count holds still, both numbers are of the same workers.
bool watchdog::all_sleep() const noexcept {
    auto serving = core_.serving.load(std::memory_order_seq_cst);
    return core_.idle_.count() == serving && core_.serving.load(std::memory_order_seq_cst) == serving;
}

void watchdog::main() noexcept {
    ::pthread_setname_np(::pthread_self(), "belay-watchdog");
    // The tick is the bound of promise 6, and the watchdog runs for microseconds at a time: it must not wait for the time slice of
    // the very task that it watches.
    ::prctl(PR_SET_TIMERSLACK, 1'000UL);  // ns
    set_time_slice(100'000);
    int quiet = 0;
    std::int64_t due = set_due(saturating_add(now_ns(), tick()));
    std::unique_lock guard(lock_);
    while (!stopping_) {
        if (quiet >= quiet_ticks_before_sleep) {
            sleep(guard);
            quiet = 0;
            due = set_due(saturating_add(now_ns(), tick()));
            continue;
        }
        wakeup_.wait_until(guard, at(due), [&] { return stopping_ || hurried_; });
        if (stopping_) break;
        if (std::exchange(hurried_, false)) {
            due = set_due(due);
            continue;
        }
        guard.unlock();
        std::int64_t now = now_ns();
        quiet = look(now, now - due) ? 0 : quiet + 1;
        due = set_due(std::max(saturating_add(due, tick()), saturating_add(now, tick() / 2)));
        guard.lock();
    }
}

/// Until a worker wakes up. Looks now and then at what can be wrong although none does.
void watchdog::sleep(std::unique_lock<std::mutex>& guard) noexcept {
    asleep_.store(true, std::memory_order_seq_cst);  // pairs with notify()
    auto woken = [&] { return stopping_ || !asleep_.load(std::memory_order_relaxed); };
    deadlocks_.begin_idle(now_ns());
    pools_.begin_idle();
    starving_.begin_idle();
    while (all_sleep() && !woken()) {
        std::int64_t until = std::min(deadlocks_.idle_due(), pools_.due_asleep());
        if (core_.overdue.any()) until = std::min(until, saturating_add(now_ns(), stop_tick_ns_));
        if (until == never) {
            wakeup_.wait(guard, woken);
        } else {
            bool called = wakeup_.wait_until(guard, at(until), woken);
            guard.unlock();
            std::int64_t now = now_ns();
            note_late(now, now - until);
            if (!called) {
                look_at_stops(now);
                pools_.look(now);
                if (now >= deadlocks_.idle_due() && all_sleep()) deadlocks_.look_idle(now);
            }
            guard.lock();
        }
    }
    asleep_.store(false, std::memory_order_relaxed);
}

/// One tick. True if any worker was in a task.
bool watchdog::look(std::int64_t now, std::int64_t late) noexcept {
    note_late(now, late);
    starving_.look(now);
    look_at_stops(now);
    pools_.look(now);
    deadlocks_.look_busy(now);
    report_orders(core_);  // of a worker that waits for the very lock
    bool busy = false;
    bool neighbour_polls = false;
    auto count = static_cast<unsigned>(core_.workers.size());
    for (unsigned i = 0; i < count; ++i) {
        worker& w = core_.workers[i];
        view& seen = views_[i];
        auto epoch = w.epoch();
        if (w.in_place()) {
            // Stuck from the first tick on, and no finding.
            seen = {.epoch = epoch, .since_ns = now, .next_report_ns = threshold_ns_, .stuck = true};
            busy = true;
            w.send_stand_in();
            continue;
        }
        if (epoch != seen.epoch) {
            seen = {.epoch = epoch, .since_ns = now, .next_report_ns = threshold_ns_};
            busy = busy || (epoch & 1U) != 0 || w.queued() != 0;
            neighbour_polls = true;
            continue;
        }
        seen.stuck = (epoch & 1U) != 0;  // else between polls, most likely asleep in its driver
        busy = busy || seen.stuck;
    }
    if (!busy) return false;
    bool neighbour_idle = core_.idle_.any();
    for (unsigned i = 0; i < count; ++i) {
        view& seen = views_[i];
        if (!seen.stuck) continue;
        worker& w = core_.workers[i];
        // In the same poll for a whole tick: what became ready meanwhile must not wait for it.
        bool expected = w.in_place();
        bool neighbour = neighbour_idle || neighbour_polls;
        // Of one that blocks in place also when nobody could run what becomes ready: a function that waits for its stop, or for its
        // deadline, must get it.
        if (expected || (core_.takeover_tick_ns > 0 && neighbour)) {
            bool found = w.take_over(now);
            if (neighbour && !neighbour_idle) found |= w.hand_over();
            if (found || w.queued() != 0) {
                worker_counters::bump(w.counters.takeovers);
                if (neighbour_idle) core_.notify_one();
            }
        }
        if (expected) continue;
        if (threshold_ns_ > 0 && !seen.suspected && now - seen.since_ns - late >= threshold_ns_ / 2) {
            seen.suspected = true;
            core_.watcher->worker_suspected(i, w.tid.load(std::memory_order_relaxed), w.pthread.load(std::memory_order_relaxed));
        }
        if (threshold_ns_ > 0 && now - seen.since_ns - late >= seen.next_report_ns) report(i, seen, now, late);
    }
    return busy;
}

/// The process was stopped, or had no CPU: nobody could end in that time.
void watchdog::note_late(std::int64_t now, std::int64_t late) noexcept {
    stops_lost_.note(now, late);
    pools_.note_late(now, late);
}

void watchdog::look_at_stops(std::int64_t now) noexcept {
    if (!core_.overdue.any()) return;
    stops_lost_.note_away(now, core_.host_is_away());
    overdue_stop found;
    while (core_.take_overdue_stop(now - stop_limit_ns_, stops_lost_, found)) {
        if (found.why == stop_reason::shutdown) continue;  // which has a grace and a report of its own
        std::chrono::nanoseconds elapsed{now - found.since_ns - stops_lost_.since(found.since_ns)};
        core_.watcher->stop_ignored({core_.name, found.scope.data(), found.why, elapsed,
                                     std::span{found.tasks}.first(found.described), found.total, found.awaited});
    }
}

void watchdog::report(unsigned index, view& seen, std::int64_t now, std::int64_t late) noexcept {
    worker& w = core_.workers[index];
    seen.next_report_ns *= 2;
    starving_.note_stall(index);
    worker_stall stall;
    stall.runtime = core_.name;
    stall.worker = index;
    stall.tid = w.tid.load(std::memory_order_relaxed);
    stall.pthread = w.pthread.load(std::memory_order_relaxed);
    stall.elapsed = std::chrono::nanoseconds{now - seen.since_ns};
    stall.lateness = std::chrono::nanoseconds{late};
    stall.queued_behind = w.queued_with_pinned();
    stall.behind_count = w.look_behind(seen.epoch, stall.behind);
    stall.ended = !snapshot_running(w, seen.epoch, stall.task);
    core_.watcher->worker_stalled(stall);
}

}  // namespace belay::detail
