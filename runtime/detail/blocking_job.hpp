// The queue and the threads of a blocking pool, and what they run.
#pragma once

#include <belay/runtime/blocking_options.hpp>
#include <belay/runtime/detail/fifo.hpp>
#include <belay/runtime/detail/stop_walk.hpp>
#include <belay/runtime/detail/timer_entry.hpp>
#include <belay/runtime/metrics.hpp>
#include <belay/runtime/operation.hpp>

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace belay {
struct saturated_pool;
}

namespace belay::detail {

class blocking_core;
class lost_time;
class simulator;

/// Something a pool's thread runs. In one of the pool's two queues until a thread takes it.
class blocking_job : public fifo_link<blocking_job> {
public:
    /// On a pool thread. The job may be gone when it returns.
    virtual void run() noexcept = 0;
    /// Whose function it is, while it is in a queue; null if that is not known.
    [[nodiscard]] virtual const record* awaiting() const noexcept { return nullptr; }

protected:
    blocking_job() = default;
    ~blocking_job() = default;

private:
    friend class blocking_core;
    std::int64_t queued_ns_ = 0;
    // outside -> waiting or queued -> taken. Withdrawn before a thread took it: stopped, or expired (max_wait).
    enum class place : std::uint8_t { outside, waiting, queued, taken, stopped, expired };
    place place_ = place::outside;  // guarded by the pool's lock
};

/// What tells one sort of pool from another.
struct pool_kind {
    const char* what = "spawn_blocking";  ///< of its operations, for dumps
    int niceness = 0;                     ///< of its threads
    std::vector<unsigned> cpus{};         ///< where its threads run; empty: wherever the one may that makes them
    simulator* sim = nullptr;             ///< there are no threads: the simulation runs the functions
};

/// Bounded: `queued` holds at most max_queued jobs beside those that an idle thread is about to take, `waiting` the jobs of
/// suspended callers. Threads are made when all are busy and end after keep_alive. Held by its pool object and by each of its
/// threads: an abandoned thread keeps it alive.
class blocking_core : public std::enable_shared_from_this<blocking_core> {
public:
    explicit blocking_core(blocking_options options, pool_kind kind = {});

    enum class submission : std::uint8_t { accepted, refused, full, stopped, expired };
    /// Any thread: queues the job, or lets it wait for room; accepted, it may be gone when this returns. Refused when the pool is
    /// closed, or has no thread and cannot make one. Full when there is no room and the job shall not wait for it. Stopped or
    /// expired when withdraw() came first.
    submission submit(blocking_job& job, when_full policy) noexcept;
    enum class withdrawal : std::uint8_t { removed, early, too_late };
    enum class reason : std::uint8_t { stop, wait_exceeded };
    /// Any thread. Removed: it was queued and will not run. Early: submit() has not had it and will answer stopped or expired.
    withdrawal withdraw(blocking_job& job, reason why) noexcept;
    /// No new jobs; waits for running ones until the deadline. Returns how many did not end.
    std::size_t close(std::int64_t deadline_ns) noexcept;
    [[nodiscard]] blocking_pool_metrics metrics() const;
    enum class queue_state : std::uint8_t { empty, moving, saturated };
    /// Saturated: somebody has waited since before that time, without what was lost, which was not so when it was last asked. `out` says
    /// who.
    queue_state look(std::int64_t before_ns, const lost_time& lost, saturated_pool& out) noexcept;
    // A simulation's. A thread is then a number: it takes a function, and the function runs when it is to end.
    [[nodiscard]] blocking_job* take_simulated() noexcept;
    void run_simulated(blocking_job& job) noexcept;
    [[nodiscard]] bool has_simulated() const noexcept;
    [[nodiscard]] const blocking_options& options() const noexcept { return options_; }
    [[nodiscard]] const char* what() const noexcept { return kind_.what; }

private:
    using place = blocking_job::place;
    bool start_thread() noexcept;
    void thread_main() noexcept;
    blocking_job* take(std::unique_lock<std::mutex>& guard) noexcept;
    [[nodiscard]] bool has_room() const noexcept { return queued_.size() < options_.max_queued + idle_; }
    void refill() noexcept;

    const blocking_options options_;
    const pool_kind kind_;
    mutable std::mutex lock_;
    std::condition_variable work_;
    std::condition_variable ended_;
    fifo<blocking_job> queued_;
    fifo<blocking_job> waiting_;
    std::size_t threads_ = 0;
    std::size_t idle_ = 0;  // threads that will look at the queue by themselves: those that wait for work, and new ones
    std::size_t starting_ = 0;  // callers who make a thread for a job that they have not queued yet
    std::size_t running_ = 0;
    bool closed_ = false;
    bool was_saturated_ = false;  // for look()
    std::uint64_t completed_ = 0;
    std::uint64_t rejected_ = 0;
    std::uint64_t expired_ = 0;
    std::uint64_t wait_ns_ = 0;
    std::uint64_t run_ns_ = 0;
};

/// The awaiting side of a job that lives in the awaiter. Its base timer_entry is the limit of its wait (max_wait).
class blocking_operation : public operation, private blocking_job, private timer_entry {
public:
    void request_stop(stop_walk& walk) noexcept final;
    [[nodiscard]] const char* what() const noexcept final { return pool_ != nullptr ? pool_->what() : "spawn_blocking"; }

protected:
    /// Throws std::invalid_argument for options that are wrong.
    blocking_operation(blocking_core* pool, const blocking_call_options& options);
    blocking_operation(blocking_operation&& other) noexcept
        : operation(std::move(other)), pool_{other.pool_}, options_{other.options_} {}
    ~blocking_operation() = default;

    /// Before suspend_on(): a null pool means the runtime's own.
    void choose_pool(record& rec) noexcept;
    bool start() noexcept;
    virtual void execute() noexcept = 0;
    /// How the running function is told of a stop; null if it does not take a token.
    virtual after_walk* stop_of_function() noexcept { return nullptr; }
    /// The function was not started although nobody stopped it: the error of the await.
    [[nodiscard]] bool refused() const noexcept { return refusal_ != refusal::none; }
    [[noreturn]] void throw_refused() const;

private:
    void run() noexcept final;
    [[nodiscard]] const record* awaiting() const noexcept final { return owner(); }
    void fire() noexcept final;
    bool settle_limit(outcome how) noexcept;

    blocking_core* pool_;
    blocking_call_options options_;
    enum class refusal : std::uint8_t { none, closed, full, expired } refusal_ = refusal::none;
    // The timer of a limited wait. Whoever ends the operation disarms it; if it fires just then, both touch the operation, and the
    // last of the two completes it.
    bool limited_ = false;
    outcome how_ = outcome::value;  // written by who ends it, for the timer
    std::atomic<std::uint8_t> to_leave_{2};  // the timer that fires, and who ends the operation
};

/// A job that owns all its state on the heap, so that a stop need not wait for it: the awaiter stops at once and the late
/// result is disposed of. For name resolution and the like. The pool slot stays taken until the function returns.
class abandonable_job : public blocking_job {
public:
    virtual void execute() noexcept = 0;
    /// Drops one of the two references, the pool's and the awaiter's.
    void release() noexcept {
        if (refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
    }

protected:
    abandonable_job() = default;
    virtual ~abandonable_job() = default;

private:
    friend class abandonable_operation;
    void run() noexcept final;
    std::atomic<int> refs_{2};
    std::atomic<class abandonable_operation*> waiter_{nullptr};
};

class abandonable_operation : public operation {
public:
    void request_stop(stop_walk&) noexcept final;

protected:
    abandonable_operation() = default;
    abandonable_operation(abandonable_operation&& other) noexcept
        : operation(std::move(other)), job_{std::exchange(other.job_, nullptr)} {}
    ~abandonable_operation();
    /// What await_suspend() returns. Takes the job over; await_resume() finds the result in it, unless `refused_`.
    bool suspend_for(abandonable_job* job, record& rec) noexcept;
    abandonable_job* job_ = nullptr;
    bool refused_ = false;

private:
    friend class abandonable_job;
    bool start() noexcept;
    blocking_core* pool_ = nullptr;
};

}  // namespace belay::detail
