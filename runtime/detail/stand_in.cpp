// block_in_place: a worker that blocks on purpose, and the thread that stands in for it.
//
// The worker stays what it is. Its lanes are open to thieves as always, and the watchdog takes over its completions, its timers
// and its LIFO slot at every tick, as it does for a worker that is stuck, but without waiting first and without a report. What is
// missing is a thread to run them: so at its first tick the watchdog puts a stand-in on duty, which is one more worker, with
// lanes and a port of its own. When the section ends, the stand-in finishes its poll, gives what is ready to the others, and
// rests: it runs no task, but waits for the operations that it has submitted and for its timers, and gives away what they make
// ready. It keeps its thread, because the kernel ends the operations of a thread that exits.
#include <belay/runtime/block_in_place.hpp>
#include <belay/runtime/detail/held_guards.hpp>
#include <belay/runtime/detail/time_slice.hpp>
#include <belay/runtime/detail/watchdog.hpp>
#include <belay/runtime/detail/worker.hpp>

#include <stdexcept>

namespace belay::detail {
namespace {
constexpr std::int64_t pause_after_failure_ns = 250'000'000;
}  // namespace

in_place_section::in_place_section() {
    worker* w = this_worker();
    if (w == nullptr || w->current() == nullptr || w->in_place()) return;
    if (w->core().how == runtime_core::flavour::hosted)
        throw std::logic_error(
            "belay: block_in_place() was called in a task of a local_runtime, whose only thread nobody can stand in for: write "
            "co_await belay::spawn_blocking(...)");
    if (w->core().how == runtime_core::flavour::simulated) {  // nobody is kept waiting, and it may block all the same
        simulated_ = true;
        ++this_thread_guards().own_code;
        return;
    }
    w->begin_in_place();
    worker_ = w;
}

in_place_section::~in_place_section() {
    if (worker_ != nullptr) worker_->end_in_place();
    if (simulated_) --this_thread_guards().own_code;
}

// ---- the worker that blocks ------------------------------------------------------------------------------------

// stand_in_: null; then, inside a section, this worker itself for "nobody yet", or who stands in.
bool worker::in_place() const noexcept { return stand_in_.load(std::memory_order_relaxed) != nullptr; }

void worker::begin_in_place() noexcept {
    stand_in_.store(this, std::memory_order_release);  // pairs with the exchange in send_stand_in()
    core_.in_place.fetch_add(1, std::memory_order_seq_cst);
    core_.dog->hurry();
}

void worker::end_in_place() noexcept {
    core_.in_place.fetch_sub(1, std::memory_order_relaxed);
    // acq_rel, pairs with send_stand_in(): either it finds that the section is over, or we find whom it has sent.
    worker* sent = stand_in_.exchange(nullptr, std::memory_order_acq_rel);
    if (sent != this) sent->relieve();
}

// ---- the watchdog's part ---------------------------------------------------------------------------------------

void worker::send_stand_in() noexcept {
    if (stand_in_.load(std::memory_order_relaxed) != this || !on_duty()) return;
    worker* stand_in = core_.resting_stand_in();
    if (stand_in == nullptr) return;
    stand_in->on_duty_.store(true, std::memory_order_seq_cst);  // before the worker can relieve it
    worker* nobody = this;
    if (stand_in_.compare_exchange_strong(nobody, stand_in, std::memory_order_acq_rel)) {
        stand_in->port().wake();
    } else {
        stand_in->relieve();  // the section has ended meanwhile
    }
}

/// Only the watchdog puts stand-ins on duty, so one that rests and is not on duty stays so until it is told.
worker* runtime_core::resting_stand_in() noexcept {
    const std::size_t seen = workers.size();
    for (std::size_t i = regular_workers; i < seen; ++i)
        if (workers[i].rests()) return &workers[i];
    make_stand_in(seen);
    return nullptr;  // a new one is of use once it is there
}

/// Starts a thread that becomes one; not more than one at a time. On failure (no thread, no descriptor, no lockable memory, a hook that
/// throws) it tries again later; until then the neighbours have to do, and the metrics show the difference.
void runtime_core::make_stand_in(std::size_t seen) noexcept {
    std::scoped_lock guard(stand_ins_lock_);  // against stop_workers(), which has to know all threads
    if (stopping() || workers.size() == workers.capacity()) return;
    if (workers.size() != seen) return;  // the one that was on its way has arrived since we looked
    if (coming_.joinable()) {
        if (!coming_failed_.load(std::memory_order_acquire)) return;  // on its way
        coming_.join();
    }
    std::int64_t now = now_ns();
    if (now < next_stand_in_ns_) return;
    next_stand_in_ns_ = now + pause_after_failure_ns;
    coming_failed_.store(false, std::memory_order_relaxed);
    try {
        coming_ = std::thread([self = shared_from_this()] { self->become_stand_in(); });
    } catch (...) {}
}

/// The new thread. What can fail, and what can take long, happens here and not on the watchdog.
void runtime_core::become_stand_in() noexcept {
    set_time_slice(0);  // not the watchdog's, which made this thread
    auto index = static_cast<unsigned>(workers.size());
    worker* self = nullptr;
    try {
        auto made = std::make_unique<worker>(*this, index);
        if (setup.begin(index, *this)) {
            {
                std::scoped_lock guard(stand_ins_lock_);
                if (!stopping()) {
                    next_stand_in_ns_ = 0;
                    made->thread = std::move(coming_);
                    self = made.get();
                    workers.push_back(std::move(made));
                }
            }
            if (self == nullptr) setup.end(index, *this);  // too late: the runtime ends
        }
    } catch (...) {}
    if (self != nullptr) {
        self->run();
    } else {
        coming_failed_.store(true, std::memory_order_release);  // pairs with make_stand_in()
    }
}

// ---- the stand-in ----------------------------------------------------------------------------------------------

bool worker::rests() const noexcept {
    return resting_.load(std::memory_order_acquire) && !on_duty_.load(std::memory_order_relaxed);
}

/// Any thread: it begins one more poll at most. If it blocks in place itself, nobody need stand in for it any more.
void worker::relieve() noexcept {
    on_duty_.store(false, std::memory_order_seq_cst);  // before the look at the idle set, see park()
    worker* sent = stand_in_.load(std::memory_order_acquire);
    if (sent != nullptr && sent != this && stand_in_.compare_exchange_strong(sent, this, std::memory_order_acq_rel))
        sent->relieve();
    core_.rouse(index_);
}

void worker::serve_as_stand_in() noexcept {
    core_.serving.fetch_add(1, std::memory_order_seq_cst);
    while (!core_.stopping()) {
        rest();  // until it is on duty
        while (on_duty() && !core_.stopping()) {
            if (record* rec = next_task()) {
                if (searching_) leave_search(true);
                poll(rec);
            }
        }
    }
    core_.serving.fetch_sub(1, std::memory_order_seq_cst);
}

void worker::rest() noexcept {
    // It may have been woken for work, and be the one whom others trust to search: passes that on.
    if (searching_) leave_search(true);
    core_.serving.fetch_sub(1, std::memory_order_seq_cst);
    for (;;) {
        turn();
        give_away();
        // Nothing of a task is here any more. release: pairs with rests().
        resting_.store(true, std::memory_order_release);
        bool go_on = core_.stopping() || on_duty_.load(std::memory_order_seq_cst);
        if (!go_on) port_->wait(next_timer_ns());  // a wake() since the look above ends it at once
        resting_.store(false, std::memory_order_relaxed);  // what completes may run a user's stop callback
        if (go_on) break;
    }
    core_.serving.fetch_add(1, std::memory_order_seq_cst);  // before it can be in the idle set, see watchdog::all_sleep()
    core_.dog->notify();
}

void worker::give_away() noexcept {
    if (record* rec = take_lifo()) core_.inject(*rec);
    while (hand_over()) {}
}

}  // namespace belay::detail
