#include <belay/runtime/blocking.hpp>

#include <belay/runtime/detail/core.hpp>
#include <belay/runtime/local_runtime.hpp>
#include <belay/runtime/runtime.hpp>

#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <stdexcept>
#include <system_error>
#include <thread>

namespace belay {

blocking_pool::blocking_pool(runtime& rt, const blocking_options& options) : blocking_pool{rt.core(), options} {
    rt.core().add_pool(core_);
}

blocking_pool::blocking_pool(local_runtime& rt, const blocking_options& options) : blocking_pool{rt.core(), options} {
    rt.core().add_pool(core_);
}

blocking_pool::blocking_pool(detail::runtime_core&, const blocking_options& options)
    : core_{std::make_shared<detail::blocking_core>(options)} {}

blocking_pool::~blocking_pool() { core_->close(detail::no_deadline); }

blocking_pool_metrics blocking_pool::metrics() const { return core_->metrics(); }
std::size_t blocking_pool::close(std::int64_t deadline_ns) noexcept { return core_->close(deadline_ns); }

namespace detail {

blocking_core& default_pool(runtime_core& core) noexcept { return core.blocking->core(); }

blocking_core::blocking_core(blocking_options options) : options_{std::move(options)} {
    if (options_.max_threads == 0) throw std::invalid_argument("belay: blocking_options.max_threads must be at least 1");
    if (options_.max_queued == 0) throw std::invalid_argument("belay: blocking_options.max_queued must be at least 1");
    if (options_.keep_alive.count() < 0) throw std::invalid_argument("belay: blocking_options.keep_alive must not be negative");
}

void blocking_core::queue::push(blocking_job& job) noexcept {
    job.prev_ = tail;
    job.next_ = nullptr;
    (tail != nullptr ? tail->next_ : head) = &job;
    tail = &job;
    ++size;
}

void blocking_core::queue::remove(blocking_job& job) noexcept {
    (job.prev_ != nullptr ? job.prev_->next_ : head) = job.next_;
    (job.next_ != nullptr ? job.next_->prev_ : tail) = job.prev_;
    --size;
}

blocking_core::submission blocking_core::submit(blocking_job& job) noexcept {
    std::unique_lock guard(lock_);
    // The thread is made before the job is in a queue, because from then on the job may be taken, run and freed at any moment.
    // Others may queue and take meanwhile, so it is asked again.
    while (!closed_ && idle_ < queued_.size + 1 && threads_ < options_.max_threads) {
        ++threads_;
        ++idle_;
        ++starting_;
        guard.unlock();
        bool made = start_thread();
        guard.lock();
        --starting_;
        if (made) continue;
        --threads_;
        --idle_;
        ended_.notify_all();
        break;  // out of threads or memory: as long as one thread lives the job will be served by it
    }
    if (job.place_ == blocking_job::place::stopped) return submission::stopped;
    if (closed_ || threads_ == 0) {
        ++rejected_;
        return submission::refused;
    }
    job.queued_ns_ = now_ns();
    bool room = queued_.size < options_.max_queued;
    (room ? queued_ : waiting_).push(job);
    job.place_ = room ? blocking_job::place::queued : blocking_job::place::waiting;
    work_.notify_one();
    return submission::accepted;
}

blocking_core::withdrawal blocking_core::withdraw(blocking_job& job) noexcept {
    std::scoped_lock guard(lock_);
    switch (job.place_) {
    case blocking_job::place::outside: job.place_ = blocking_job::place::stopped; return withdrawal::early;
    case blocking_job::place::taken:
    case blocking_job::place::stopped: return withdrawal::too_late;
    case blocking_job::place::queued: queued_.remove(job); break;
    case blocking_job::place::waiting: waiting_.remove(job); break;
    }
    job.place_ = blocking_job::place::stopped;
    refill();
    return withdrawal::removed;
}

/// Under lock_: moves those who wait for room into the room that there is.
void blocking_core::refill() noexcept {
    while (waiting_.head != nullptr && queued_.size < options_.max_queued) {
        blocking_job& job = *waiting_.head;
        waiting_.remove(job);
        queued_.push(job);
        job.place_ = blocking_job::place::queued;
        work_.notify_one();
    }
}

bool blocking_core::start_thread() noexcept {
    try {
        std::thread([self = shared_from_this()] { self->thread_main(); }).detach();
        return true;
    } catch (...) {
        return false;
    }
}

blocking_job* blocking_core::take(std::unique_lock<std::mutex>& guard) noexcept {
    while (queued_.head == nullptr) {
        if (closed_) return nullptr;
        ++idle_;
        // A year is for ever, and the clock does not overflow.
        auto patience = std::min<std::chrono::milliseconds>(options_.keep_alive, std::chrono::hours{24 * 365});
        bool timed_out = work_.wait_for(guard, patience) == std::cv_status::timeout;
        --idle_;
        if (timed_out && queued_.head == nullptr && starting_ == 0) return nullptr;
    }
    blocking_job& job = *queued_.head;
    queued_.remove(job);
    job.place_ = blocking_job::place::taken;
    refill();
    return &job;
}

void blocking_core::thread_main() noexcept {
    char name[16];
    std::snprintf(name, sizeof name, "%.15s", options_.name.c_str());
    ::pthread_setname_np(::pthread_self(), name);
    std::unique_lock guard(lock_);
    --idle_;  // counted by submit()
    while (blocking_job* job = take(guard)) {
        auto began = now_ns();
        wait_ns_ += static_cast<std::uint64_t>(began - job->queued_ns_);
        guard.unlock();
        job->run();
        guard.lock();
        ++completed_;
        run_ns_ += static_cast<std::uint64_t>(now_ns() - began);
    }
    --threads_;
    ended_.notify_all();
}

std::size_t blocking_core::close(std::int64_t deadline_ns) noexcept {
    std::unique_lock guard(lock_);
    closed_ = true;
    work_.notify_all();
    auto all_ended = [this] { return threads_ == 0; };
    if (deadline_ns == no_deadline) {
        ended_.wait(guard, all_ended);
    } else {
        ended_.wait_until(guard, std::chrono::steady_clock::time_point{std::chrono::nanoseconds{deadline_ns}}, all_ended);
    }
    return threads_;
}

blocking_pool_metrics blocking_core::metrics() const {
    std::scoped_lock guard(lock_);
    return {.name = options_.name,
            .threads = threads_,
            .idle = idle_,
            .queued = queued_.size,
            .waiting = waiting_.size,
            .completed = completed_,
            .rejected = rejected_,
            .queue_wait_ns = wait_ns_,
            .run_ns = run_ns_};
}

// ---- the operation ---------------------------------------------------------------------------------------------

void blocking_operation::choose_pool(record& rec) noexcept {
    if (pool_ == nullptr) pool_ = &default_pool(rec.core());
}

// Submission and the stop meet under the pool's lock: a stop takes the job out of its queue, or keeps it from getting there,
// or comes after a thread has taken it and changes nothing.
bool blocking_operation::start() noexcept {
    switch (pool_->submit(*this)) {
    case blocking_core::submission::accepted: return true;
    case blocking_core::submission::stopped: complete(outcome::stopped); return true;
    case blocking_core::submission::refused: break;
    }
    refused_ = true;
    return !complete_inline();
}

void blocking_operation::request_stop(stop_walk&) noexcept {
    if (pool_->withdraw(*this) == blocking_core::withdrawal::removed) complete(outcome::stopped);
}

void blocking_operation::run() noexcept {
    execute();
    complete(outcome::value);
}

void blocking_operation::throw_refused() const {
    throw std::system_error(std::make_error_code(std::errc::resource_unavailable_try_again),
                            "belay: the blocking pool '" + pool_->options().name +
                                "' is closed, or cannot make its first thread (see ulimit -u and the cgroup's pids.max)");
}

// ---- jobs that outlive their awaiter ---------------------------------------------------------------------------

void abandonable_job::run() noexcept {
    execute();
    // acq_rel: release publishes the result; acquire sees the awaiter's operation.
    if (auto* waiter = waiter_.exchange(nullptr, std::memory_order_acq_rel)) waiter->complete(outcome::value);
    release();
}

bool abandonable_operation::suspend_for(abandonable_job* job, record& rec) noexcept {
    job_ = job;
    job->waiter_.store(this, std::memory_order_relaxed);  // not shared yet
    pool_ = &default_pool(rec.core());
    if (suspend_on(rec)) return start();
    job->release();  // the pool's reference: it will not see the job. The task, and `this` with it, may be gone by now.
    return true;
}

bool abandonable_operation::start() noexcept {
    abandonable_job* job = job_;
    auto found = pool_->submit(*job);
    // Accepted: from here on a stop, or the job itself, may complete the operation and free it at any moment.
    if (found == blocking_core::submission::accepted) return true;
    job->release();  // the pool's reference
    if (found == blocking_core::submission::stopped) {
        complete(outcome::stopped);
        return true;
    }
    refused_ = true;
    return !complete_inline();
}

void abandonable_operation::request_stop(stop_walk&) noexcept {
    auto found = pool_->withdraw(*job_);
    if (found == blocking_core::withdrawal::early) return;  // start() will hear of it
    // Whoever takes the operation out of the job completes it; the other one must not touch it.
    if (job_->waiter_.exchange(nullptr, std::memory_order_acq_rel) != this) return;
    if (found == blocking_core::withdrawal::removed) job_->release();
    complete(outcome::stopped);
}

abandonable_operation::~abandonable_operation() {
    if (job_ != nullptr) job_->release();
}

}  // namespace detail
}  // namespace belay
