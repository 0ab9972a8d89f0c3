// The queue and the threads of a blocking pool, and what they run.
#pragma once

#include <belay/runtime/blocking_options.hpp>
#include <belay/runtime/metrics.hpp>
#include <belay/runtime/operation.hpp>

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>

namespace belay::detail {

class blocking_core;

/// Something a pool's thread runs. In one of the pool's two queues until a thread takes it.
class blocking_job {
public:
    /// On a pool thread. The job may be gone when it returns.
    virtual void run() noexcept = 0;

protected:
    blocking_job() = default;
    ~blocking_job() = default;

private:
    friend class blocking_core;
    blocking_job* next_ = nullptr;
    blocking_job* prev_ = nullptr;
    std::int64_t queued_ns_ = 0;
    // outside -> queued or waiting -> taken; stopped: withdrawn before it was submitted
    enum class place : std::uint8_t {
        outside,
        waiting,
        queued,
        taken,
        stopped
    } place_ = place::outside;  // guarded by the pool's lock
};

/// Bounded: `queued` holds at most max_queued jobs, `waiting` the jobs of suspended callers. Threads are made when all are
/// busy and end after keep_alive. Held by its pool object and by each of its threads: an abandoned thread keeps it alive.
class blocking_core : public std::enable_shared_from_this<blocking_core> {
public:
    explicit blocking_core(blocking_options options);

    enum class submission : std::uint8_t { accepted, refused, stopped };
    /// Any thread: queues the job, or lets it wait for room; accepted, it may be gone when this returns. Refused when the pool is
    /// closed, or has no thread and cannot make one. Stopped when withdraw() came first.
    submission submit(blocking_job& job) noexcept;
    enum class withdrawal : std::uint8_t { removed, early, too_late };
    /// Any thread. Removed: it was queued and will not run. Early: submit() has not had it and will answer `stopped`.
    withdrawal withdraw(blocking_job& job) noexcept;
    /// No new jobs; waits for running ones until the deadline. Returns how many did not end.
    std::size_t close(std::int64_t deadline_ns) noexcept;
    [[nodiscard]] blocking_pool_metrics metrics() const;
    [[nodiscard]] const blocking_options& options() const noexcept { return options_; }

private:
    struct queue {
        blocking_job* head = nullptr;
        blocking_job* tail = nullptr;
        std::size_t size = 0;
        void push(blocking_job& job) noexcept;
        void remove(blocking_job& job) noexcept;
    };
    bool start_thread() noexcept;
    void thread_main() noexcept;
    blocking_job* take(std::unique_lock<std::mutex>& guard) noexcept;
    void refill() noexcept;

    const blocking_options options_;
    mutable std::mutex lock_;
    std::condition_variable work_;
    std::condition_variable ended_;
    queue queued_;
    queue waiting_;
    std::size_t threads_ = 0;
    std::size_t idle_ = 0;  // threads that will look at the queue by themselves: those that wait for work, and new ones
    std::size_t starting_ = 0;  // callers who make a thread for a job that they have not queued yet
    bool closed_ = false;
    std::uint64_t completed_ = 0;
    std::uint64_t rejected_ = 0;
    std::uint64_t wait_ns_ = 0;
    std::uint64_t run_ns_ = 0;
};

/// The awaiting side of a job that lives in the awaiter.
class blocking_operation : public operation, private blocking_job {
public:
    void request_stop(stop_walk&) noexcept final;
    [[nodiscard]] const char* what() const noexcept final { return "spawn_blocking"; }

protected:
    explicit blocking_operation(blocking_core* pool) noexcept : pool_{pool} {}
    blocking_operation(blocking_operation&& other) noexcept : operation(std::move(other)), pool_{other.pool_} {}
    ~blocking_operation() = default;

    /// Before suspend_on(): a null pool means the runtime's own.
    void choose_pool(record& rec) noexcept;
    bool start() noexcept;
    virtual void execute() noexcept = 0;
    /// The pool is closed or cannot make a thread: the error of the await.
    [[nodiscard]] bool refused() const noexcept { return refused_; }
    [[noreturn]] void throw_refused() const;

private:
    void run() noexcept final;
    blocking_core* pool_;
    bool refused_ = false;
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
