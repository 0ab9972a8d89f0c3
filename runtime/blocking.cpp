#include <belay/runtime/blocking.hpp>

#include <belay/runtime/detail/core.hpp>
#include <belay/runtime/detail/cpus.hpp>
#include <belay/runtime/detail/deadline.hpp>
#include <belay/runtime/detail/held_guards.hpp>
#include <belay/runtime/detail/lost_time.hpp>
#include <belay/runtime/detail/simulator.hpp>
#include <belay/runtime/detail/snapshot.hpp>
#include <belay/runtime/local_runtime.hpp>
#include <belay/runtime/runtime.hpp>
#include <belay/runtime/simulation.hpp>

#include <pthread.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

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

blocking_pool::blocking_pool(simulation& sim, const blocking_options& options) : blocking_pool{sim.core(), options} {
    sim.core().add_pool(core_);
}

blocking_pool::blocking_pool(detail::runtime_core& core, const blocking_options& options)
    : core_{std::make_shared<detail::blocking_core>(options,
                                                    detail::pool_kind{.cpus = core.setup.cpus(), .sim = core.sim.get()})} {}

blocking_pool::~blocking_pool() { core_->close(detail::no_deadline); }

blocking_pool_metrics blocking_pool::metrics() const { return core_->metrics(); }
std::size_t blocking_pool::close(std::int64_t deadline_ns) noexcept { return core_->close(deadline_ns); }

namespace detail {

blocking_core& default_pool(runtime_core& core) noexcept { return core.blocking->core(); }

blocking_core::blocking_core(blocking_options options, pool_kind kind) : options_{std::move(options)}, kind_{std::move(kind)} {
    if (options_.max_threads == 0) throw std::invalid_argument("belay: blocking_options.max_threads must be at least 1");
    if (options_.max_queued == 0) throw std::invalid_argument("belay: blocking_options.max_queued must be at least 1");
    if (options_.keep_alive.count() < 0) throw std::invalid_argument("belay: blocking_options.keep_alive must not be negative");
    if (options_.max_wait && options_.max_wait->count() <= 0)
        throw std::invalid_argument("belay: blocking_options.max_wait must be positive; leave it empty for no limit");
}

blocking_core::submission blocking_core::submit(blocking_job& job, when_full policy) noexcept {
    own_code mine;
    std::unique_lock guard(lock_);
    // The thread is made before the job is in a queue, because from then on the job may be taken, run and freed at any moment.
    // Others may queue and take meanwhile, so it is asked again.
    while (!closed_ && idle_ < queued_.size() + 1 && threads_ < options_.max_threads) {
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
    if (job.place_ == place::stopped) return submission::stopped;
    if (job.place_ == place::expired) return submission::expired;
    if (closed_ || threads_ == 0) {
        ++rejected_;
        return submission::refused;
    }
    refill();  // a thread made here is room for those who came earlier
    bool room = has_room();
    if (!room && policy == when_full::reject) {
        ++rejected_;
        return submission::full;
    }
    job.queued_ns_ = now_ns();
    (room ? queued_ : waiting_).push(job);
    job.place_ = room ? place::queued : place::waiting;
    work_.notify_one();
    if (kind_.sim != nullptr) kind_.sim->has_jobs(*this);
    return submission::accepted;
}

blocking_core::withdrawal blocking_core::withdraw(blocking_job& job, reason why) noexcept {
    own_code mine;
    std::scoped_lock guard(lock_);
    auto found = withdrawal::removed;
    switch (job.place_) {
    case place::outside: found = withdrawal::early; break;
    case place::taken:
    case place::stopped:
    case place::expired: return withdrawal::too_late;
    case place::queued: queued_.remove(job); break;
    case place::waiting: waiting_.remove(job); break;
    }
    if (why == reason::wait_exceeded) ++expired_;
    job.place_ = why == reason::stop ? place::stopped : place::expired;
    refill();
    return found;
}

/// Under lock_: moves those who wait for room into the room that there is.
void blocking_core::refill() noexcept {
    while (!waiting_.empty() && has_room()) {
        blocking_job& job = *waiting_.pop();
        queued_.push(job);
        job.place_ = place::queued;
        work_.notify_one();
    }
}

bool blocking_core::start_thread() noexcept {
    if (kind_.sim != nullptr) return true;
    try {
        std::thread([self = shared_from_this()] { self->thread_main(); }).detach();
        return true;
    } catch (...) {
        return false;
    }
}

blocking_job* blocking_core::take(std::unique_lock<std::mutex>& guard) noexcept {
    while (queued_.empty()) {
        if (closed_) return nullptr;
        ++idle_;
        // A year is for ever, and the clock does not overflow.
        auto patience = std::min<std::chrono::milliseconds>(options_.keep_alive, std::chrono::hours{24 * 365});
        bool timed_out = work_.wait_for(guard, patience) == std::cv_status::timeout;
        --idle_;
        if (timed_out && queued_.empty() && starting_ == 0) return nullptr;
    }
    blocking_job& job = *queued_.pop();
    job.place_ = place::taken;
    refill();
    return &job;
}

void blocking_core::thread_main() noexcept {
    char name[16];
    std::snprintf(name, sizeof name, "%.15s", options_.name.c_str());
    ::pthread_setname_np(::pthread_self(), name);
    if (!kind_.cpus.empty()) run_on(kind_.cpus);  // a pinned worker has made it; if it is refused it shares the worker's CPU
    // Of this thread alone, although POSIX would have it of the process. To become nicer is always allowed.
    if (kind_.niceness != 0) ::setpriority(PRIO_PROCESS, static_cast<id_t>(::syscall(SYS_gettid)), kind_.niceness);
    std::unique_lock guard(lock_);
    --idle_;  // counted by submit()
    while (blocking_job* job = take(guard)) {
        auto began = now_ns();
        wait_ns_ += static_cast<std::uint64_t>(began - job->queued_ns_);
        ++running_;
        guard.unlock();
        job->run();
        guard.lock();
        --running_;
        ++completed_;
        run_ns_ += static_cast<std::uint64_t>(now_ns() - began);
    }
    --threads_;
    ended_.notify_all();
}

blocking_job* blocking_core::take_simulated() noexcept {
    std::scoped_lock guard(lock_);
    if (idle_ == 0 || queued_.empty()) return nullptr;
    --idle_;
    ++running_;
    blocking_job& job = *queued_.pop();
    job.place_ = place::taken;
    wait_ns_ += static_cast<std::uint64_t>(now_ns() - job.queued_ns_);
    refill();
    return &job;
}

void blocking_core::run_simulated(blocking_job& job) noexcept {
    job.run();
    std::scoped_lock guard(lock_);
    --running_;
    ++completed_;
    ++idle_;
    if (!queued_.empty()) kind_.sim->has_jobs(*this);
}

bool blocking_core::has_simulated() const noexcept {
    std::scoped_lock guard(lock_);
    return !queued_.empty() || running_ != 0;
}

std::size_t blocking_core::close(std::int64_t deadline_ns) noexcept {
    std::unique_lock guard(lock_);
    closed_ = true;
    if (kind_.sim != nullptr) {
        if (running_ != 0 && deadline_ns == no_deadline)
            misuse(
                "a blocking pool was destroyed while a simulation has functions of it under way: destroy it after the scope that uses "
                "it");
        return running_;  // what has not ended by now never will
    }
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
    own_code mine;
    std::scoped_lock guard(lock_);
    return {.name = options_.name,
            .threads = threads_,
            .idle = idle_,
            .running = running_,
            .queued = queued_.size(),
            .waiting = waiting_.size(),
            .completed = completed_,
            .rejected = rejected_,
            .expired = expired_,
            .queue_wait_ns = wait_ns_,
            .run_ns = run_ns_};
}

blocking_core::queue_state blocking_core::look(std::int64_t before_ns, const lost_time& lost, saturated_pool& out) noexcept {
    own_code mine;
    std::scoped_lock guard(lock_);
    // Those in the queue came before those that wait to get there.
    const blocking_job* oldest = queued_.empty() ? waiting_.front() : queued_.front();
    bool saturated = oldest != nullptr && oldest->queued_ns_ + lost.since(oldest->queued_ns_) < before_ns;
    bool before = std::exchange(was_saturated_, saturated);
    if (oldest == nullptr) return queue_state::empty;
    if (!saturated || before) return queue_state::moving;
    out.pool = options_.name;
    out.threads = threads_;
    out.queued = queued_.size() + waiting_.size();
    out.waited = std::chrono::nanoseconds{now_ns() - oldest->queued_ns_ - lost.since(oldest->queued_ns_)};
    // It waits as long as its job is in a queue, whose lock this is.
    if (const record* rec = oldest->awaiting(); rec == nullptr || !snapshot_unpinned(rec, out.task)) out.task = {};
    return queue_state::saturated;
}

// ---- the operation ---------------------------------------------------------------------------------------------

blocking_operation::blocking_operation(blocking_core* pool, const blocking_call_options& options)
    : pool_{pool}, options_{options} {
    if (options.max_wait && options.max_wait->count() <= 0)
        throw std::invalid_argument("belay: blocking_call_options.max_wait must be positive; leave it empty for the pool's own");
}

void blocking_operation::choose_pool(record& rec) noexcept {
    if (pool_ == nullptr) pool_ = &default_pool(rec.core());
    const blocking_options& defaults = pool_->options();
    if (!options_.when_full) options_.when_full = defaults.when_full;
    if (!options_.max_wait) options_.max_wait = defaults.max_wait;
}

// Submission, the stop and the limit meet under the pool's lock: what comes first takes the job out of its queue, or keeps it
// from getting there, or comes after a thread has taken it and changes nothing for the job.
bool blocking_operation::start() noexcept {
    if (options_.max_wait) {
        limited_ = true;  // visible to the pool's thread, as all of this, through the pool's lock
        arm_timer(*this, saturating_add(now_ns(), options_.max_wait->count()));
    }
    switch (pool_->submit(*this, *options_.when_full)) {
    case blocking_core::submission::accepted: return true;
    case blocking_core::submission::stopped:
        if (settle_limit(outcome::stopped)) complete(outcome::stopped);
        return true;
    case blocking_core::submission::refused: refusal_ = refusal::closed; break;
    case blocking_core::submission::full: refusal_ = refusal::full; break;
    case blocking_core::submission::expired: refusal_ = refusal::expired; break;
    }
    return !settle_limit(outcome::value) || !complete_inline();
}

void blocking_operation::request_stop(stop_walk& walk) noexcept {
    switch (pool_->withdraw(*this, blocking_core::reason::stop)) {
    case blocking_core::withdrawal::early: return;  // start() will hear of it
    case blocking_core::withdrawal::removed:
        if (settle_limit(outcome::stopped)) complete(outcome::stopped);
        return;
    case blocking_core::withdrawal::too_late:
        if (after_walk* stop = stop_of_function()) walk.postpone(*stop);
    }
}

void blocking_operation::run() noexcept {
    execute();
    if (settle_limit(outcome::value)) complete(outcome::value);
}

/// By whoever ends the operation. True: the timer will not touch it any more. False: the timer fires right now, and completes it.
bool blocking_operation::settle_limit(outcome how) noexcept {
    if (!limited_ || disarm_timer(*this)) return true;
    how_ = how;
    // acq_rel: the last of the two sees what the other one wrote.
    return to_leave_.fetch_sub(1, std::memory_order_acq_rel) == 1;
}

void blocking_operation::fire() noexcept {
    if (pool_->withdraw(*this, blocking_core::reason::wait_exceeded) == blocking_core::withdrawal::removed) {
        refusal_ = refusal::expired;  // nobody else will end it: a stop finds it withdrawn
        complete(outcome::value);
    } else if (to_leave_.fetch_sub(1, std::memory_order_acq_rel) == 1) {  // as in settle_limit()
        complete(how_);
    }
}

void blocking_operation::throw_refused() const {
    const std::string& name = pool_->options().name;
    if (refusal_ == refusal::full) throw blocking_queue_full{name};
    if (refusal_ == refusal::expired) throw blocking_wait_exceeded{name};
    throw std::system_error(std::make_error_code(std::errc::resource_unavailable_try_again),
                            "belay: the blocking pool '" + name +
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
    auto found = pool_->submit(*job, when_full::suspend);
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
    auto found = pool_->withdraw(*job_, blocking_core::reason::stop);
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
