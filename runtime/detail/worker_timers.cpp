// A worker's turns at its driver port and its timers, its own and those that the watchdog takes for it.
#include <belay/runtime/detail/snapshot.hpp>
#include <belay/runtime/detail/worker.hpp>

#include <algorithm>
#include <mutex>
#include <span>

namespace belay::detail {

void worker::turn() noexcept {
    turn_tick_ = 0;
    port_->poll();
    if (next_timer_ns() != timer_wheel::never_ns) fire_timers(now_ns());
}

void worker::arm_locked(timer_entry& entry, std::int64_t deadline_ns) noexcept {
    timers_.insert(entry, deadline_ns);
    next_timer_ns_.store(timers_.next_expiry_ns(), std::memory_order_relaxed);
}

bool worker::disarm_locked(timer_entry& entry) noexcept {
    if (!timers_.remove(entry)) return false;
    next_timer_ns_.store(timers_.next_expiry_ns(), std::memory_order_relaxed);
    return true;
}

void worker::arm(timer_entry& entry, std::int64_t deadline_ns) noexcept {
    entry.home = this;
    std::scoped_lock guard(timer_lock_);
    arm_locked(entry, deadline_ns);
}

bool worker::disarm(timer_entry& entry) noexcept {
    std::scoped_lock guard(timer_lock_);
    return disarm_locked(entry);
}

unsigned worker::fire_timers(std::int64_t now) noexcept {
    if (next_timer_ns() > now) return 0;
    timer_node* due = nullptr;
    {
        std::scoped_lock guard(timer_lock_);
        due = timers_.expire(now);
        next_timer_ns_.store(timers_.next_expiry_ns(), std::memory_order_relaxed);
    }
    unsigned fired = 0;
    while (due != nullptr) {
        timer_node* next = due->next;  // fire() may free the node
        static_cast<timer_entry*>(due)->fire();
        due = next;
        ++fired;
    }
    if (fired != 0 && this_worker() == this) worker_counters::bump(counters.timers_fired, fired);
    return fired;
}

void worker::cut_graces(std::int64_t limit_ns) noexcept {
    {
        std::scoped_lock guard(timer_lock_);
        // Ticks are rounded up: one that is in the limit's own tick may be taken out and put back, which changes nothing.
        timer_node* cut = timers_.extract_if([](const timer_node& node) { return node.is_grace; });
        while (cut != nullptr) {
            timer_node& node = *cut;
            cut = node.next;
            timers_.insert(node, std::min(timer_wheel::start_of(node.deadline_tick), limit_ns));
        }
        next_timer_ns_.store(timers_.next_expiry_ns(), std::memory_order_relaxed);
    }
    port_->wake();  // it may sleep towards a later deadline
}

std::size_t worker::timers() const noexcept {
    std::scoped_lock guard(timer_lock_);
    return timers_.size();
}

bool worker::has_due_timer(std::int64_t time_ns) const noexcept {
    constexpr unsigned most = 64;  // to look at: the owner waits for the lock
    std::scoped_lock guard(timer_lock_);
    return timers_.has_due(time_ns, most);
}

bool worker::take_over(std::int64_t now) noexcept {
    bool found = port_->rescue();
    found |= fire_timers(now) != 0;
    if (record* rec = take_lifo()) {
        core_.inject(*rec);
        found = true;
    }
    return found;
}

// A task in a queue is alive and does not run until it is taken out. The owner takes nobody out in the middle of a poll; a thief may, so
// what was read of a task is dropped unless the queue still holds it afterwards. It is read through the kernel, as a debugger reads: if
// the task has been taken meanwhile, and has gone, that is neither a crash nor a data race. A task that leaves lifo_ and comes back to it
// in between is taken for one that stayed, which it may as well have.
std::size_t worker::look_behind(std::uint64_t epoch, std::span<task_snapshot> out) const noexcept {
    constexpr std::size_t most_looks = 16;  // of a lane whose tasks are stolen while they are looked at
    std::size_t found = 0;
    // acquire, both: pairs with the release in wake().
    if (const record* rec = lifo_.load(std::memory_order_acquire); rec != nullptr && !out.empty())
        if (snapshot_unpinned(rec, out[0]) && lifo_.load(std::memory_order_acquire) == rec) out[found++].waiting_on = "ready";
    for (const work_queue<record>* lane : {&wake_, &fork_}) {
        std::size_t nth = 0;
        for (std::size_t looks = 0; looks < most_looks && found < out.size(); ++looks) {
            auto seen = lane->peek(nth);
            if (seen.item == nullptr) break;
            bool readable = snapshot_unpinned(seen.item, out[found]);
            if (!lane->still_holds(seen)) continue;  // those behind it have moved up
            ++nth;
            if (readable) out[found++].waiting_on = "ready";
        }
    }
    return this->epoch() == epoch ? found : 0;
}

bool worker::hand_over() noexcept {
    bool found = false;
    for (work_queue<record>* lane : {&fork_, &wake_}) {
        for (std::size_t left = std::min<std::size_t>(lane->size(), 256); left > 0; --left) {
            record* rec = lane->steal();
            if (rec == nullptr) break;
            core_.inject(*rec);
            found = true;
        }
    }
    return found;
}

}  // namespace belay::detail
