// A worker without work of its own: it searches its neighbours, spins for a while, and sleeps.
#include <belay/runtime/detail/arch.hpp>
#include <belay/runtime/detail/watchdog.hpp>
#include <belay/runtime/detail/worker.hpp>

#include <algorithm>

namespace belay::detail {

// ---- searching -------------------------------------------------------------------------------------------------

record* worker::steal_for(worker& thief, bool last_pass) noexcept {
    for (work_queue<record>* lane : {&fork_, &wake_}) {
        std::size_t half = (lane->size() + 1) / 2;
        record* first = lane->steal();
        if (first == nullptr) continue;
        // One CAS each: a batch would have to be claimed before it can be read, and the owner pops from the other end.
        for (std::size_t taken = 1; taken < std::min<std::size_t>(half, 64); ++taken) {
            record* more = lane->steal();
            if (more == nullptr) break;
            thief.push(lane == &fork_ ? thief.fork_ : thief.wake_, *more);
        }
        return first;
    }
    return last_pass ? take_lifo() : nullptr;
}

record* worker::search() noexcept {
    unsigned serving = core_.serving.load(std::memory_order_relaxed);
    if (serving == 1) return nullptr;
    if (!searching_) {
        // Relaxed: the limit of half the workers is a heuristic.
        if (2 * core_.searching_.load(std::memory_order_relaxed) >= serving) return nullptr;
        core_.searching_.fetch_add(1, std::memory_order_seq_cst);
        searching_ = true;
    }
    auto count = static_cast<unsigned>(core_.workers.size());
    for (int pass = 0; pass < 2; ++pass) {
        unsigned start = pass == 0 ? last_victim_ : random() % count;
        for (unsigned i = 0; i < count; ++i) {
            unsigned victim = (start + i) % count;
            if (victim == index_) continue;
            record* found = core_.workers[victim].steal_for(*this, pass == 1);
            if (found == nullptr) continue;
            last_victim_ = victim;
            worker_counters::bump(counters.steals);
            leave_search(true);
            return found;
        }
    }
    if (record* r = core_.take_injected(*this)) {
        leave_search(true);
        return r;
    }
    return nullptr;
}

/// The last searcher to find something wakes the next one if there is more: wake-ups ramp up as long as there is work. What
/// was published while this one searched is visible after its seq_cst step out; what comes later finds nobody searching and
/// notifies for itself. True when this was the last searcher.
bool worker::leave_search(bool found) noexcept {
    if (!searching_) return false;
    searching_ = false;
    bool last = core_.searching_.fetch_sub(1, std::memory_order_seq_cst) == 1;
    if (last && found && core_.idle_.any() && (core_.injected_seq_cst() != 0 || queued_anywhere())) core_.notify_one();
    return last;
}

bool worker::queued_anywhere() const noexcept {
    for (const auto& other : core_.workers)
        if (other->queued() != 0) return true;
    return false;
}

// ---- idling ----------------------------------------------------------------------------------------------------

/// Looks for work for a while before paying for a sleep and a wake-up. True when there is something to do. The budget
/// adapts: halved when it was in vain, restored when a park turned out shorter than it.
bool worker::spin() noexcept {
    if (spin_ns_ < 2'000) return false;
    // Work that comes soon comes from the kernel or from another worker. A thread of a pool would be kept from the CPU that it
    // could have here, and has to be woken up itself.
    if (port_->in_flight() == 0 && core_.idle_.count() + 1 >= core_.serving.load(std::memory_order_relaxed)) return false;
    if (core_.spinning_.exchange(true, std::memory_order_relaxed)) return false;  // one spinner; a hint, orders nothing
    port_->poll();  // hand over what is staged before waiting for answers to it
    std::int64_t began = now_ns();
    std::int64_t until = std::min(began + spin_ns_, next_timer_ns());
    bool found = false;
    bool blind = !port_->ready_sees_io();
    do {
        if (blind) port_->poll();
        for (int i = 0; i < 16 && !found; ++i) {
            found = port_->ready() || core_.injected() != 0 || queued() != 0 || pinned.ready() || core_.stopping();
            if (!found) cpu_relax();
        }
    } while (!found && now_ns() < until);
    core_.spinning_.store(false, std::memory_order_relaxed);
    if (found) {
        turn();
    } else {
        spin_ns_ /= 2;
    }
    return found;
}

// The protocol against lost wake-ups. Sleeper: adds itself to the idle set (seq_cst), then looks at the queues once more.
// Notifier: publishes work, then a seq_cst edge, then looks at the idle set. In the total order of these operations one of
// them comes first, so either the sleeper sees the work or the notifier sees the sleeper.
void worker::park() noexcept {
    bool last_searcher = leave_search(false);
    core_.idle_.add(index_);
    bool work = core_.injected_seq_cst() != 0 || core_.stopping() || queued() != 0 || pinned.waiting() ||
                !on_duty_.load(std::memory_order_seq_cst);
    if (!work && last_searcher) {
        // Whoever trusted "somebody searches" may have left work in a queue that this searcher had passed already.
        work = queued_anywhere();
    }
    if (!work) {
        std::int64_t began = now_ns();
        worker_counters::bump(counters.parks);
        port_->wait(next_timer_ns());
        if (now_ns() - began < core_.spin_limit_ns) spin_ns_ = core_.spin_limit_ns;
    }
    if (!core_.idle_.remove(index_)) {
        // A notifier claimed this worker and counted it as a searcher before it woke it.
        searching_ = true;
        worker_counters::bump(counters.wakeups);
    } else if (work) {
        // Whoever made it ready may have trusted the search that has just ended, and woken nobody: this worker searches still. When it has
        // found something it wakes the next one, which would otherwise wait until a poll ends.
        core_.searching_.fetch_add(1, std::memory_order_seq_cst);
        searching_ = true;
    }
    // After the idle set says that somebody runs: whatever the next poll begins with, a timer or an I/O completion, it is
    // watched.
    core_.dog->notify();
    if (next_timer_ns() != timer_wheel::never_ns) fire_timers(now_ns());
}

}  // namespace belay::detail
