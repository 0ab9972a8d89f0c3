// The queue of a strand and the operations that wait in it.
#pragma once

#include <belay/runtime/detail/fifo.hpp>
#include <belay/runtime/detail/lock_word.hpp>
#include <belay/runtime/detail/spin_lock.hpp>
#include <belay/runtime/operation.hpp>
#include <belay/runtime/yield.hpp>

#include <atomic>
#include <cstdint>

namespace belay::detail {

class strand_core;

/// A caller of strand::run(): a plain function, which whoever holds the strand may run for it, or one who wants the strand
/// itself, for a coroutine.
class strand_job : public operation, public fifo_link<strand_job> {
public:
    void request_stop(stop_walk&) noexcept final;
    [[nodiscard]] const char* what() const noexcept final { return "strand.run"; }

protected:
    enum class kind : std::uint8_t { function, coroutine };
    strand_job(strand_core& core, kind k) noexcept : core_{&core}, kind_{k} {}
    strand_job(strand_job&& other) noexcept : operation(std::move(other)), fifo_link(), core_{other.core_}, kind_{other.kind_} {}
    ~strand_job() = default;

    /// await_ready(): takes the strand if it is free. Not if the task is asked to stop and the poll's budget is used up: a loop of
    /// calls that find the strand free never suspends otherwise, and has to notice a stop somewhere.
    bool try_take() noexcept;
    /// After try_take(): the task need not yield.
    [[nodiscard]] bool rested() const noexcept { return rested_; }
    /// After the function: gives the strand back, and runs what came meanwhile.
    void give_back() noexcept;
    /// await_suspend().
    bool suspend_for(record& rec) noexcept;
    /// await_resume(): true if the strand was handed to this caller, who has to run its function itself and give it back.
    bool take_over() noexcept;
    /// Runs the function and keeps its result. On a worker of the caller's runtime.
    virtual void execute() noexcept = 0;

    strand_core* core_;

private:
    friend class strand_core;
    bool start() noexcept;
    const kind kind_;
    bool done_ = false;  // the strand was free and was taken at once; a function has run then
    bool rested_ = true;  // the poll's budget was not used up
    bool granted_ = false;  // the strand is this caller's; written before complete(), read after the resume
    bool linked_ = false;  // guarded by the strand's lock
    bool stopped_early_ = false;  // as linked_
};

/// One holder at a time. Free to held and back is one CAS each; the lock is for the queue.
class strand_core {
public:
    /// How many functions of others a holder runs before it hands the strand over through the scheduler: its own task, and what is
    /// behind it in its worker's queues, want to run too.
    static constexpr int functions_in_a_row = 16;

    strand_core() = default;
    strand_core(const strand_core&) = delete;
    strand_core& operator=(const strand_core&) = delete;
    ~strand_core() {
        if (!word_.is_free()) [[unlikely]]
            destroyed_in_use();
    }

    bool try_acquire() noexcept { return word_.try_acquire(); }
    /// By the holder, on a worker, after its function: lets go, or runs what waits.
    void release_and_run() noexcept {
        if (!word_.release_if_alone()) run_waiting();
    }
    /// By the holder, anywhere: lets go, or hands over through the scheduler. Runs nothing.
    void release_and_hand_over() noexcept;
    /// A coroutine holds the strand. Whatever is below `inside` is part of it.
    void set_coroutine(record& rec, const stop_node& inside) noexcept;

private:
    friend class strand_job;
    void run_waiting() noexcept;
    strand_job* next() noexcept;
    void grant(strand_job& job) noexcept;
    void refuse_nested(const record& rec) const noexcept;
    void destroyed_in_use() noexcept;

    lock_word word_;
    spin_lock lock_;  // guards the queue, and some of the word's changes: see there
    fifo<strand_job> waiting_;
    // Of the coroutine that holds the strand; null otherwise. Compared, never followed, by others.
    std::atomic<const stop_node*> inside_{nullptr};
    // The holder's, where it may be suspended: a coroutine, or somebody to whom the strand was granted. Written by the holder.
    record* parked_ = nullptr;
};

/// The strand, held for a coroutine until this is destroyed.
class strand_hold {
public:
    explicit strand_hold(strand_core& core) noexcept : core_{&core} {}
    strand_hold(const strand_hold&) = delete;
    strand_hold& operator=(const strand_hold&) = delete;
    // Not release_and_run(): this runs in a destructor, when frames unwind too.
    ~strand_hold() { core_->release_and_hand_over(); }

private:
    strand_core* core_;
};

inline bool strand_job::try_take() noexcept {
    rested_ = spend_budget();
    if (!rested_ && stop_requested_here()) return false;
    return done_ = core_->try_acquire();
}
inline void strand_job::give_back() noexcept { core_->release_and_run(); }
inline bool strand_job::take_over() noexcept {
    if (granted_) core_->parked_ = nullptr;
    return granted_;
}

}  // namespace belay::detail
