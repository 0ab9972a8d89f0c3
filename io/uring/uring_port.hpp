// A worker's io_uring. Private to io/uring; the executor sees driver_port.
//
// Who may touch what:
//   - the submission queue is written by the owner alone, without a lock; any thread may hand what is published to the
//     kernel, which takes entries under its own lock and in order;
//   - the completion queue, the lists and the state bits of operations belong to the holder of `lock_`: the owner, a
//     rescuer or a canceller, for a few dozen instructions and never across a system call or finish_io().
//
// Why a cancel never meets freed memory, and never the wrong operation:
//   - An operation may be freed as soon as finish_io() ran. Under the lock every operation is either `done` or not. cancel()
//     of one that is done does nothing (its stopper pins it, so looking is safe). One that is not done and not cancelled by
//     the owner is `listed` (in the inbox, or in the batch of a rescuer), and a listed operation is not finished: its
//     completion only records the result and `done`, and whoever takes it off the list finishes it.
//   - cancel() before submit() has staged the operation: it is listed; the owner stages cancels only from poll(), wait() or
//     its own cancel(), hence after submit() returned, and a rescuer's SYNC_CANCEL finds nothing and leaves it listed.
//   - cancel() after the CQE was posted and before it is reaped: ASYNC_CANCEL finds nothing; the CQE is reaped as usual.
//   - An ASYNC_CANCEL names its target by address, and the address may be reused once the target has completed. The new
//     operation's entry is staged after the cancel (the staging was before the target was finished), and the kernel takes a
//     ring's entries in order: the cancel has run before the new operation exists for the kernel. A new operation
//     on another ring is out of its reach.
//   - SYNC_CANCEL names it by address, too, but of a listed operation, which cannot have been freed.
#pragma once

#include <belay/io/detail/host_wait.hpp>
#include <belay/io/uring/op_list.hpp>
#include <belay/io/uring/ring.hpp>
#include <belay/io/uring/wake_word.hpp>
#include <belay/runtime/detail/arch.hpp>
#include <belay/runtime/detail/spin_lock.hpp>
#include <belay/runtime/driver.hpp>

#include <pthread.h>

#include <atomic>
#include <cstdint>
#include <memory>

namespace belay::detail {

class uring_port final : public driver_port {
public:
    static constexpr unsigned sq_entries = 256;  // measured: design.md section 6
    static constexpr unsigned cq_entries = 4096;

    /// Throws std::system_error.
    explicit uring_port(std::unique_ptr<uring::ring> ring, bool hosted = false);
    ~uring_port() override;

    void bind_owner() noexcept override;
    void submit(io_operation& op) noexcept override;
    void cancel(io_operation& op) noexcept override;
    void poll() noexcept override;
    void wait(std::int64_t deadline_ns) noexcept override;
    [[nodiscard]] bool ready() const noexcept override;
    void wake() noexcept override;
    bool rescue() noexcept override;
    [[nodiscard]] std::size_t in_flight() const noexcept override;
    [[nodiscard]] int wait_handle() const noexcept override { return host_ ? host_->fd() : -1; }
    void prepare_wait(std::int64_t deadline_ns) noexcept override;

private:
    enum class reaper : std::uint8_t { owner, rescuer };

    // ---- owner, no lock needed
    bool stage(io_operation& op) noexcept;  // false: the queue is full
    void flush() noexcept;
    void turn(std::int64_t sleep_until_ns) noexcept;
    [[nodiscard]] bool on_owner() const noexcept;

    // ---- under lock_
    void hold_back(io_operation& op) noexcept;
    bool stage_cancel(io_operation& op) noexcept;  // owner; false: the queue is full
    void stage_deferred(uring::op_list& finished) noexcept;  // owner
    void stage_held_back(uring::op_list& finished) noexcept;
    void stage_inbox(uring::op_list& finished) noexcept;
    void arm_wake() noexcept;
    void reap(reaper who, uring::op_list& finished) noexcept;
    void on_completion(io_operation& op, const uring::completion& cqe, uring::op_list& finished) noexcept;
    void on_transient(io_operation& op, std::int32_t result, uring::op_list& finished) noexcept;
    void settle(io_operation& op, std::int32_t result, uring::op_list& finished) noexcept;
    void sweep_inbox(uring::op_list& finished) noexcept;
    void note_deferred() noexcept;

    // ---- rescuer
    void cancel_inbox_now(uring::op_list& finished) noexcept;
    void await_posting() const noexcept;

    // ---- any thread, without the lock
    void finish(uring::op_list finished) noexcept;
    int enter(unsigned submit, unsigned min_complete, bool get_events, std::int64_t timeout_ns = uring::forever) noexcept;

    std::unique_ptr<uring::ring> ring_;
    std::unique_ptr<host_wait> host_;  // null when a thread of the runtime's own owns the port
    int wake_fd_;
    bool was_bound_ = false;
    std::atomic<pthread_t> owner_{};
    uring::wake_word wake_;

    // What other threads write, away from what the owner reads for every operation.
    alignas(cache_line_size) mutable spin_lock lock_;
    std::atomic<bool> rescuing_{false};
    bool wake_armed_ = false;       // the ring polls wake_fd_, or the entry that makes it do so is staged
    bool done_in_inbox_ = false;    // reap() settled a listed operation
    bool held_back_anew_ = false;   // a rescuer left something for the owner to stage
    // Mirrors "there is something for stage_deferred() to do"; written under lock_, read without it as a hint.
    std::atomic<bool> deferred_{true};
    uring::op_list held_back_;      // wait for a free entry, or are to be submitted again
    uring::op_list inbox_;          // cancels that the owner has to stage
    std::atomic<std::uint64_t> finished_{0};
};

}  // namespace belay::detail
