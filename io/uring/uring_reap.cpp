// The part of uring_port that runs under its lock: reaping completions, staging what was deferred.
#include <belay/io/uring/op_state.hpp>
#include <belay/io/uring/prepare.hpp>
#include <belay/io/uring/tsan.hpp>
#include <belay/io/uring/uring_port.hpp>

#include <algorithm>
#include <cerrno>

namespace belay::detail {

using namespace uring;

namespace {

constexpr unsigned reap_batch = 256;  // bounds how long queued tasks wait behind completions

}  // namespace

// ---- reaping ------------------------------------------------------------------------------------------------------

void uring_port::reap(reaper who, op_list& finished) noexcept {
    const unsigned available = std::min(ring_->peek_count(), reap_batch);
    unsigned reaped = 0;
    for (; reaped < available; ++reaped) {
        completion cqe = ring_->peek(reaped);
        if (cqe.user_data == tag_wake) {
            // The wake's completion is what ends the owner's sleep: the kernel counts from the head that it finds on entry, so
            // a rescuer that took it between begin_sleep() and the system call would let the owner sleep through its wake, or
            // with the poll unarmed. An owner that sleeps is about to return and reap the rest itself.
            if (who == reaper::rescuer && wake_.owner_sleeps()) break;
            if (!has_more(cqe.flags)) {  // ended by a queue overflow; turn() arms it again before it sleeps
                wake_armed_ = false;
                note_deferred();
            }
        } else if (cqe.user_data != tag_ignored) {
            on_completion(*reinterpret_cast<io_operation*>(static_cast<std::uintptr_t>(cqe.user_data)), cqe, finished);
        }
    }
    ring_->drop(reaped);
}

void uring_port::on_completion(io_operation& op, const completion& cqe, op_list& finished) noexcept {
    tsan_acquire(&op);
    if (op.driver_word == awaits_readiness) {
        op.driver_word = runs;
        if (cqe.result < 0 && cqe.result != -ECANCELED) return settle(op, cqe.result, finished);
        if (has(op, cancel_wanted)) return settle(op, -ECANCELED, finished);
        return hold_back(op);
    }
    if (op.request.opcode == io_opcode::recv) op.socket_nonempty = socket_nonempty(cqe.flags);
    if (cqe.result == -ECANCELED || cqe.result == -EINTR || cqe.result == -EAGAIN) [[unlikely]]
        return on_transient(op, cqe.result, finished);
    settle(op, cqe.result, finished);
}

// Results that say that nothing happened: the end if a stop was asked for, and otherwise no news for the caller.
void uring_port::on_transient(io_operation& op, std::int32_t result, op_list& finished) noexcept {
    retry next = retry_after(op.request, result);
    if (has(op, cancel_wanted)) return settle(op, next == retry::no ? result : -ECANCELED, finished);
    if (next == retry::no) return settle(op, result, finished);
    op.driver_word = next == retry::when_ready ? awaits_readiness : runs;
    hold_back(op);
}

void uring_port::settle(io_operation& op, std::int32_t result, op_list& finished) noexcept {
    op.result = result;
    set(op, done);
    counters.add(counters.completed);
    counters.add(counters.completed_by_opcode[static_cast<std::size_t>(op.request.opcode)]);
    if (has(op, listed))
        done_in_inbox_ = true;
    else
        finished.push(op);
}

// ---- what the owner has to stage ----------------------------------------------------------------------------------

void uring_port::note_deferred() noexcept { deferred_.store(true, std::memory_order_relaxed); }

void uring_port::hold_back(io_operation& op) noexcept {
    set(op, held);
    // Cancelled before it was staged: it is in the inbox already and cannot be in two lists. stage_inbox() ends it.
    if (!has(op, listed)) held_back_.push(op);
    held_back_anew_ = true;
    note_deferred();
}

void uring_port::stage_deferred(op_list& finished) noexcept {
    stage_held_back(finished);
    stage_inbox(finished);
    if (!wake_armed_) arm_wake();
    deferred_.store(!held_back_.empty() || !inbox_.empty() || !wake_armed_, std::memory_order_relaxed);
}

void uring_port::stage_held_back(op_list& finished) noexcept {
    held_back_anew_ = false;
    while (io_operation* op = held_back_.front()) {
        if (has(*op, cancel_wanted)) {
            held_back_.pop();
            clear(*op, held);
            settle(*op, -ECANCELED, finished);
            continue;
        }
        if (!ring_->has_room()) return;
        held_back_.pop();
        clear(*op, held);
        stage(*op);  // cannot fail: only the owner fills the queue
    }
}

void uring_port::stage_inbox(op_list& finished) noexcept {
    while (io_operation* op = inbox_.front()) {
        if (has(*op, held)) {
            clear(*op, held | listed);
            inbox_.pop();
            settle(*op, -ECANCELED, finished);
        } else if (has(*op, done)) {
            clear(*op, listed);
            inbox_.pop();
            finished.push(*op);
        } else {
            if (!stage_cancel(*op)) return;
            clear(*op, listed);
            inbox_.pop();
        }
    }
    done_in_inbox_ = false;
}

bool uring_port::stage_cancel(io_operation& op) noexcept {
    io_uring_sqe* sqe = ring_->acquire();
    if (!sqe) return false;
    prepare_cancel(*sqe, tag_of(op), tag_ignored);
    ring_->publish();
    return true;
}

void uring_port::arm_wake() noexcept {
    io_uring_sqe* sqe = ring_->acquire();
    if (!sqe) return;
    // Readiness is checked when the poll is armed, and the counter is never read: after the first wake, arming again
    // completes at once. One idle turn, and no wake can fall between the end of one poll and the start of the next.
    prepare_multishot_poll(*sqe, wake_fd_, tag_wake);
    ring_->publish();
    wake_armed_ = true;
}

}  // namespace belay::detail
