// One io_uring instance: set-up, a submission queue whose entries are visible to every thread as soon as they are written,
// and the completion queue. Private to io/uring; includes no liburing header, so that nothing leaks into users' code.
//
// liburing does the set-up and the mapping and fills SQEs. Its get_sqe()/submit() are not used: they publish the tail only
// at submit, which would hide staged entries of a stuck owner from a rescuer.
#pragma once

#include <belay/io/uring/fork_guard.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

struct io_uring;
struct io_uring_sqe;

namespace belay::detail::uring {

/// struct io_uring_cqe.
struct completion {
    std::uint64_t user_data;
    std::int32_t result;
    std::uint32_t flags;
};

inline constexpr std::int64_t forever = -1;

class ring {
public:
    /// Throws std::system_error whose text names the exhausted limit and the remedy. Takes a smaller completion queue
    /// when memory for the wanted one may not be locked.
    ring(unsigned sq_entries, unsigned cq_entries);
    ring(const ring&) = delete;
    ring& operator=(const ring&) = delete;
    ~ring();

    [[nodiscard]] int fd() const noexcept { return fd_; }
    /// Aborts, saying why, in a forked child.
    void check_process() const noexcept { guard_.check(); }

    // ---- submission queue: the owner writes, any thread may hand over --------------------------------------------

    /// Owner: the slot at the tail; null when the queue is full. Fill it, then publish(). Never more than one at a time.
    [[nodiscard]] io_uring_sqe* acquire() noexcept;
    /// Owner: acquire() would succeed.
    [[nodiscard]] bool has_room() const noexcept {
        // acquire, pairs with the kernel's release after it has copied the entries below the head.
        return tail_ - std::atomic_ref(*sq_head_).load(std::memory_order_acquire) < sq_entries_;
    }
    /// Owner. release, pairs with the acquire of the kernel or of unconsumed() on a rescuer's thread: whoever sees the
    /// new tail sees the whole entry. An entry whose publish() has not run yet is invisible to both.
    void publish() noexcept { std::atomic_ref(*sq_tail_).store(++tail_, std::memory_order_release); }
    /// Any thread: published entries that the kernel has not taken. Head first: the tail never falls behind it.
    [[nodiscard]] unsigned unconsumed() const noexcept {
        unsigned head = std::atomic_ref(*sq_head_).load(std::memory_order_acquire);
        return std::atomic_ref(*sq_tail_).load(std::memory_order_acquire) - head;
    }

    /// Any thread. Submits up to `submit` entries; waits for `min_complete` completions at most `timeout_ns` if that is not
    /// 0. Returns the number submitted or -errno. Two threads may be in here at once: the kernel takes entries under its own
    /// lock and never more than there are.
    int enter(unsigned submit, unsigned min_complete, bool get_events, std::int64_t timeout_ns = forever) noexcept;
    /// io_uring_register(). Returns -errno on failure.
    int register_op(unsigned opcode, void* argument, unsigned count) noexcept;
    /// Any thread: gives up the requests with this user_data. 0, or -ENOENT, -EALREADY.
    int cancel_now(std::uint64_t user_data) noexcept;

    // ---- kernel flags ---------------------------------------------------------------------------------------------

    /// Completions wait until the submitting thread passes through the kernel.
    [[nodiscard]] bool work_pending() const noexcept;
    /// The kernel holds completions that did not fit; enter(get_events) moves them into the queue.
    [[nodiscard]] bool overflowed() const noexcept;
    [[nodiscard]] bool needs_enter() const noexcept;

    // ---- completion queue: one reader at a time, serialised by the port's lock --------------------------------------

    /// Any thread, as a hint; exact for the reader.
    [[nodiscard]] bool has_completions() const noexcept { return peek_count() != 0; }
    [[nodiscard]] unsigned peek_count() const noexcept {
        // The head's writer is the lock's holder; relaxed is exact for it and a hint for others. acquire on the tail,
        // pairs with the kernel's release: the entries below it are complete.
        unsigned head = std::atomic_ref(*cq_head_).load(std::memory_order_relaxed);
        return std::atomic_ref(*cq_tail_).load(std::memory_order_acquire) - head;
    }
    /// The i-th entry behind the head; i < peek_count().
    [[nodiscard]] completion peek(unsigned i) const noexcept { return cqes_[(*cq_head_ + i) & cq_mask_]; }
    /// release, pairs with the kernel's acquire: the slots are free only after we have read them.
    void drop(unsigned n) noexcept { std::atomic_ref(*cq_head_).store(*cq_head_ + n, std::memory_order_release); }

private:
    void map_queues() noexcept;

    fork_guard guard_;
    int fd_ = -1;
    bool no_iowait_ = false;
    unsigned tail_ = 0;  // owner's copy of *sq_tail_
    unsigned* sq_head_ = nullptr;
    unsigned* sq_tail_ = nullptr;
    unsigned* sq_flags_ = nullptr;
    unsigned sq_mask_ = 0;
    unsigned sq_entries_ = 0;
    unsigned cq_mask_ = 0;
    unsigned* cq_head_ = nullptr;
    unsigned* cq_tail_ = nullptr;
    completion* cqes_ = nullptr;
    std::byte* sqes_ = nullptr;
    std::unique_ptr<::io_uring> impl_;
};

}  // namespace belay::detail::uring
