#include <belay/runtime/detail/worker.hpp>

#include <belay/runtime/detail/guarded.hpp>
#include <belay/runtime/detail/held_guards.hpp>
#include <belay/runtime/detail/lock_order.hpp>
#include <belay/runtime/detail/snapshot.hpp>
#include <belay/runtime/observer.hpp>
#include <belay/runtime/task.hpp>

#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <utility>

namespace belay::detail {
namespace {
thread_local worker* current_worker [[gnu::tls_model("initial-exec")]] = nullptr;
std::atomic<std::uint64_t> workers_made{1};
}  // namespace

[[gnu::noinline]] worker* this_worker() noexcept { return current_worker; }
[[gnu::noinline]] worker* set_this_worker(worker* now) noexcept {
    if (now != nullptr) now->guards = &this_thread_guards();
    return std::exchange(current_worker, now);
}

// ---- the functions that operations call ------------------------------------------------------------------------

void schedule(record& rec) noexcept {
    worker* w = this_worker();
    if (w != nullptr && &w->core() == &rec.core()) {
        w->wake(rec);
    } else {
        rec.core().inject(rec);
    }
}

void schedule_fair(record& rec) noexcept {
    worker* w = this_worker();
    if (w != nullptr && &w->core() == &rec.core()) {
        w->push_fair(rec);
    } else {
        rec.core().inject(rec);
    }
}

bool spend_budget() noexcept {
    worker* w = this_worker();
    if (w == nullptr || w->spend_budget()) return true;
    w->note_spent();
    return false;
}

pace next_pace() noexcept {
    if (spend_budget()) [[likely]]
        return pace::go;
    return this_worker()->current()->stop_asked() ? pace::stop : pace::rest;
}

std::coroutine_handle<> finish_root(record& rec, outcome how) noexcept {
    worker* w = this_worker();
    record* next = w->end(rec, how);
    if (next == nullptr) {
        w->set_current(nullptr);
        return std::noop_coroutine();
    }
    return w->transfer(*next);
}

void arm_timer(timer_entry& entry, std::int64_t deadline_ns) noexcept { this_worker()->arm(entry, deadline_ns); }
void arm_timer_anywhere(runtime_core& core, timer_entry& entry, std::int64_t deadline_ns) noexcept {
    worker* w = this_worker();
    if (w != nullptr && &w->core() == &core) {
        w->arm(entry, deadline_ns);
        return;
    }
    core.workers.front().arm(entry, deadline_ns);
    core.workers.front().port().wake();  // it may sleep towards a later deadline
}
bool disarm_timer(timer_entry& entry) noexcept { return entry.home->disarm(entry); }

// ---- construction ----------------------------------------------------------------------------------------------

worker::worker(runtime_core& core, unsigned index)
    : first_poll{workers_made.fetch_add(1, std::memory_order_relaxed) << 40U},
      core_{core},
      index_{index},
      rng_{index * 2654435761U + 1},
      timers_{now_ns()},
      port_{core.io->make_port(index)},
      on_duty_{index < core.regular_workers},
      resting_{index >= core.regular_workers} {
    spin_ns_ = core.spin_limit_ns;
}

worker::~worker() = default;

// ---- making work ready -----------------------------------------------------------------------------------------

void worker::push(work_queue<record>& lane, record& rec) noexcept {
    try {
        lane.push(&rec);
    } catch (...) {
        core_.inject(rec);  // the lane cannot grow: memory is exhausted. The injection queue needs none.
    }
}

void worker::push_pinned(record& rec) noexcept {
    if (may_run(rec)) {
        pinned.push(rec);
    } else {
        core_.deliver(rec);
    }
}

void worker::wake(record& rec) noexcept {
    if (rec.pinned()) [[unlikely]]
        return push_pinned(rec);
    // acq_rel: release publishes the record to a thief of the slot; acquire takes over what the displaced one published.
    record* displaced = lifo_.exchange(&rec, std::memory_order_acq_rel);
    if (displaced != nullptr) push_fair(*displaced);
}

void worker::push_fair(record& rec) noexcept {
    if (rec.pinned()) [[unlikely]]
        return push_pinned(rec);
    push(wake_, rec);
    // One task that waits for this worker's next poll is not worth a wake-up, which costs more than most polls; if this
    // poll turns out to be long, the watchdog sees to it. A queue is.
    if (wake_.size() > 1) core_.notify_if_idle();
}

void worker::push_fork(record& rec) noexcept {
    if (rec.pinned()) [[unlikely]]
        return push_pinned(rec);
    push(fork_, rec);
    core_.notify_if_idle();
}

// ---- choosing --------------------------------------------------------------------------------------------------

// Fairness: each lane and the injection queue is served at least every 16 polls, pinned tasks every other one, the oldest fork
// every 256, and the driver and the timers every 61, so a bounded number of tasks with bounded polls gives a bounded delay.
record* worker::next_local() noexcept {
    ++tick_;
    if (++turn_tick_ >= turn_interval) turn();
    switch (tick_ & 15U) {
    case 0:
        if (record* r = core_.take_injected(*this)) return r;
        break;
    case 5:
        if (record* r = wake_.steal()) return r;
        break;
    case 10:
        // The newest fork as a rule, or a tree of forks is walked in breadth and all of it is in memory at once: the oldest opens
        // another subtree each time. It is served all the same, because a task that forks for ever must not hide it.
        if (record* r = (tick_ & 255U) == 10 ? fork_.steal() : fork_.pop()) return r;
        break;
    default: break;
    }
    if ((tick_ & 1U) != 0 && pinned.ready()) return pinned.pop();
    if (lifo_.load(std::memory_order_relaxed) != nullptr) {
        if (record* r = take_lifo()) {
            if (++lifo_streak_ <= lifo_polls_in_a_row) return r;
            push(wake_, *r);
        }
    }
    lifo_streak_ = 0;
    if (record* r = fork_.pop()) return r;
    if (record* r = wake_.steal()) return r;
    if (record* r = pinned.pop()) return r;
    return core_.injected() != 0 ? core_.take_injected(*this) : nullptr;
}

record* worker::next_task() noexcept {
    if (record* r = next_local()) return r;
    lifo_streak_ = 0;
    if (port_->ready() || next_timer_ns() != timer_wheel::never_ns) {
        turn();
        if (record* r = next_local()) return r;
    }
    if (record* r = search()) return r;
    if (spin()) return next_local();
    park();
    return next_local();
}

// ---- running ---------------------------------------------------------------------------------------------------

void worker::run() noexcept {
    (void)this_thread_guards();  // handlers of signals look at it, and the first access may allocate
    set_this_worker(this);
    stack_top = __builtin_frame_address(0);
    tid.store(static_cast<int>(::syscall(SYS_gettid)), std::memory_order_relaxed);
    pthread.store(static_cast<std::uint64_t>(::pthread_self()), std::memory_order_relaxed);
    if (is_stand_in() || core_.setup.begin(index_, core_)) {  // a stand-in has begun, see become_stand_in()
        port_->bind_owner();
        core_.watcher->worker_began();
        is_stand_in() ? serve_as_stand_in() : serve();
        if (searching_) leave_search(false);
        core_.watcher->worker_ended();
        core_.setup.end(index_, core_);
    }
    current_worker = nullptr;
    ended.store(true, std::memory_order_release);  // pairs with stop_workers()
}

void worker::serve() noexcept {
    while (!core_.stopping()) {
        if (record* rec = next_task()) {
            if (searching_) leave_search(true);
            poll(rec);
        }
    }
}

record* worker::poll(record* rec, int budget) noexcept {
    worker_counters::bump(counters.polls);
    budget_ = budget;
    // On 1 poll in 53: how long tasks run, scaled up. Two looks at the clock take longer than a short poll. A prime that is not
    // turn_interval, so that the sampled one is now before and now behind a turn, and of every lane.
    constexpr unsigned sampling = 53;
    bool sampled = guarded && ++unsampled_ == sampling;
    if (sampled) unsampled_ = 0;
    auto epoch = begin_poll(rec);
    std::int64_t began = sampled ? now_ns() : 0;
    resume_chain(rec);
    if constexpr (guarded) epoch_.store(epoch + 1, std::memory_order_release);
    if (sampled) worker_counters::bump(counters.busy_ns, static_cast<std::uint64_t>(now_ns() - began) * sampling);
    record* last = current();  // of a chain of transfers; null when it has ended
    current_.store(nullptr, std::memory_order_relaxed);
    look_at_guards(last);
    if (abandoned.load(std::memory_order_relaxed)) [[unlikely]] {
        for (;;) ::pause();  // promise 10: the runtime has gone; an abandoned thread resumes no task
    }
    return last;
}

void worker::look_at_guards(record* last) noexcept {
    if (guarded && anything(*guards)) [[unlikely]]
        report_guards(last);
}

/// Returns the epoch of the poll, which is odd.
[[gnu::always_inline]] inline std::uint64_t worker::begin_poll(record* rec) noexcept {
    auto epoch = epoch_.load(std::memory_order_relaxed);  // written by this thread only
    for (;;) {
        current_.store(rec, std::memory_order_relaxed);
        if constexpr (!guarded) return epoch;
        epoch_.store(++epoch, std::memory_order_release);  // pairs with the watchdog's acquire: `current_` is set
        std::atomic_signal_fence(std::memory_order_seq_cst);  // the processor's part is the barrier in standstill
        // acquire, pairs with the store in ~standstill(): it has looked at everything that we are going to change.
        if (core_.halted.load(std::memory_order_acquire) == 0) [[likely]]
            return epoch;
        epoch = stand_still(epoch);
    }
}

std::uint64_t worker::stand_still(std::uint64_t epoch) noexcept {
    current_.store(nullptr, std::memory_order_relaxed);
    epoch_.store(++epoch, std::memory_order_release);
    core_.halted.wait(1, std::memory_order_acquire);
    return epoch;
}

[[gnu::always_inline]] inline void worker::resume_chain(record* rec) noexcept {
    while (rec != nullptr) {
        if (abandoned.load(std::memory_order_relaxed)) [[unlikely]]
            return;  // poll() parks
        if (!may_run(*rec)) {  // the last one ended here, and whom it goes on with belongs elsewhere
            core_.deliver(*rec);
            break;
        }
        // Relaxed: whoever queued the record wrote `completed` before, and the queue ordered that before this.
        rec->slot.store(record::running, std::memory_order_relaxed);
        set_current(rec);
        if (rec->is_stopped()) {
            rec = unwind(*rec);
        } else if (rec->leaf == nullptr && !rec->begin()) {
            rec = end(*rec, outcome::error);
        } else {
            rec->leaf->handle().resume();
            return;
        }
    }
    set_current(nullptr);  // the last one has ended: its record may be gone
}

/// Destroys the task's frames leaf to root. Iterative: a deep chain of awaits must not overflow the stack.
record* worker::unwind(record& rec) noexcept {
    rec.clear_stopped();
    promise_base* frame = rec.leaf;
    while (frame != nullptr) {
        promise_base* parent = frame->parent;
        rec.leaf = parent;
        disown(*frame);
        frame->handle().destroy();
        frame = parent;
    }
    return end(rec, outcome::stopped);
}

record* worker::end(record& rec, outcome how) noexcept {
    if (guarded && guards->count != 0) [[unlikely]]
        return end_holding(rec, how);
    return rec.on_done(how);
}

std::coroutine_handle<> worker::transfer(record& next) noexcept {
    // A chain of transfers is one poll. When its budget is used up, or the task has to unwind (which only the loop may do,
    // because we are inside a frame that hangs below it), it goes through a queue, as does one that another worker must run.
    // An abandoned thread resumes no task: what it leaves in its queue stays there.
    if (next.is_stopped() || !may_run(next) || !spend_budget() || abandoned.load(std::memory_order_relaxed)) {
        set_current(nullptr);
        push_fair(next);
        return std::noop_coroutine();
    }
    next.slot.store(record::running, std::memory_order_relaxed);  // as in resume_chain()
    set_current(&next);
    if (next.leaf == nullptr && !next.begin()) return finish_root(next, outcome::error);
    return next.leaf->handle();
}

std::coroutine_handle<> worker::transfer_from_current(record& next) noexcept {
    if (guarded && guards->count != 0) [[unlikely]]
        keep_for_current();
    return transfer(next);
}

void worker::note_spent() noexcept {
    // Relaxed, both: statistics, which the watchdog compares from look to look.
    worker_counters::bump(counters.budget_yields);
    if (const record* rec = current()) last_spender.store(rec->id, std::memory_order_relaxed);
}

void worker::note_call(const guarded_call& call) noexcept {
    std::uint32_t& count = guards->calls;
    // The system calls that were seen inside of a function are that function's: it is the one to be named. They were noted before it,
    // and began later.
    auto known = std::min<std::uint32_t>(count, static_cast<std::uint32_t>(calls_.size()));
    auto outside = known;
    while (outside > 0 && calls_[outside - 1].call.began_ns > call.began_ns) --outside;
    if (outside != known) count = outside;
    if (count < calls_.size()) {
        noted_call& kept = calls_[count];
        kept.call = call;
        // As a debugger would: the task may have handed itself on already, and then run elsewhere, or have gone.
        if (!snapshot_unpinned(current(), kept.task)) kept.task = {};
    }
    ++count;
}

void worker::report_guards(record* rec) noexcept {
    held_guards& held = *guards;
    auto calls = std::min<std::uint32_t>(std::exchange(held.calls, 0), static_cast<std::uint32_t>(calls_.size()));
    for (std::uint32_t i = 0; i < calls; ++i) {
        const guarded_call& call = calls_[i].call;
        core_.watcher->blocking_called(
            calls_[i].task, {call.function, call.fd, std::chrono::nanoseconds{call.ns}, call.slept, call.place, call.lost});
    }
    if (std::exchange(held.findings, 0) != 0) report_orders(core_);
    if (held.count == 0) return;
    held.belong_to(rec, 0);  // it may run on another worker already, or be gone
    if (held.known == 0) report_held(rec);  // there were too many to have an entry each
    while (held.known != 0) report_held(held.entries[0].holder);
    held.forget();
}

}  // namespace belay::detail
