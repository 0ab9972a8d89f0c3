// What other threads do to a uring_port: cancel() and rescue().
#include <belay/io/uring/kick.hpp>
#include <belay/io/uring/op_state.hpp>
#include <belay/io/uring/uring_port.hpp>

#include <cerrno>
#include <mutex>

namespace belay::detail {

using namespace uring;

namespace {

constexpr unsigned cancels_per_rescue = 32;  // 14 us each
constexpr int posting_spins = 2000;          // some 20 us; an interrupted owner needs less

}  // namespace

void uring_port::cancel(io_operation& op) noexcept {
    ring_->check_process();
    const bool mine = on_owner();
    {
        std::scoped_lock guard(lock_);
        if (has(op, done | cancel_wanted)) return;
        set(op, cancel_wanted);
        if (has(op, held)) {
            note_deferred();  // stage_held_back() ends it
        } else if (!mine || !stage_cancel(op)) {
            set(op, listed);
            inbox_.push(op);
            note_deferred();
        }
    }
    if (!mine) wake();
    // `op` may be gone once a stopper lets go of it; until then it is listed or the kernel's.
}

bool uring_port::rescue() noexcept {
    ring_->check_process();
    const bool wanted =
        ring_->unconsumed() != 0 || ring_->has_completions() || ring_->needs_enter() || deferred_.load(std::memory_order_relaxed);
    if (!wanted || rescuing_.exchange(true, std::memory_order_acquire)) return false;

    // First everything that makes the kernel owe completions, then the kick that makes it post them.
    op_list finished;
    if (unsigned staged = ring_->unconsumed()) enter(staged, 0, false);
    cancel_inbox_now(finished);
    if (ring_->overflowed()) enter(0, 0, true);
    if (ring_->work_pending()) {
        kick();
        await_posting();
    }

    bool owner_must_stage = false;
    if (lock_.try_lock()) {
        reap(reaper::rescuer, finished);
        if (done_in_inbox_) sweep_inbox(finished);
        owner_must_stage = held_back_anew_;
        held_back_anew_ = false;
        lock_.unlock();
    }
    rescuing_.store(false, std::memory_order_release);
    const bool any = !finished.empty();
    if (owner_must_stage) wake();
    finish(finished);
    return any;
}

// membarrier returns when the owner's CPU has taken the interrupt; the completions appear on its way back to user mode.
void uring_port::await_posting() const noexcept {
    for (int i = 0; i < posting_spins && ring_->work_pending(); ++i) cpu_relax();
}

// The system calls run without the lock: the batch's operations stay `listed`, so nobody finishes them under us.
void uring_port::cancel_inbox_now(op_list& finished) noexcept {
    op_list batch;
    {
        std::unique_lock guard(lock_, std::try_to_lock);
        if (!guard) return;
        for (unsigned i = 0; i < cancels_per_rescue && !inbox_.empty(); ++i) batch.push(*inbox_.pop());
    }
    if (batch.empty()) return;
    op_list found_nothing;
    op_list asked;
    while (io_operation* op = batch.pop()) {
        // -ENOENT: not staged yet, or completed, or in the hands of the owner's io-wq, which only the owner reaches.
        // -EALREADY and -ETIME: it runs and cannot be given up; to ask again would change nothing.
        bool nothing = ring_->cancel_now(tag_of(*op)) == -ENOENT;
        (nothing ? found_nothing : asked).push(*op);
    }

    bool again = false;
    {
        std::scoped_lock guard(lock_);
        while (io_operation* op = asked.pop()) {
            clear(*op, listed);
            if (has(*op, done)) finished.push(*op);
        }
        while (io_operation* op = found_nothing.pop()) {
            inbox_.push(*op);
            if (has(*op, done)) done_in_inbox_ = true;
            again = true;
        }
        if (again) note_deferred();
    }
    if (again) wake();  // the owner may have found the inbox empty and gone to sleep
}

void uring_port::sweep_inbox(op_list& finished) noexcept {
    op_list remaining;
    while (io_operation* op = inbox_.pop()) {
        if (has(*op, done)) {
            clear(*op, listed);
            finished.push(*op);
        } else {
            remaining.push(*op);
        }
    }
    inbox_ = remaining;
    done_in_inbox_ = false;
}

}  // namespace belay::detail
