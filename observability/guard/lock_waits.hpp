// Watches one call that waits for a lock: besides how long, for how much of it the host's other threads had the CPUs that it, or the
// thread that holds the lock, was ready to run on. A lock that is taken for microseconds is held until its holder has a CPU again.
#pragma once

#include <belay/observability/guard/calls.hpp>

#include <pthread.h>
#include <threads.h>

namespace belay::guard {

/// Who holds a lock, read without it, so of this moment.
struct lock_holder {
    bool any = false;
    int thread = 0;  ///< 0: several that read, or not known
};
lock_holder holder_of(const pthread_mutex_t* lock) noexcept;
lock_holder holder_of(const pthread_rwlock_t* lock) noexcept;
inline lock_holder holder_of(const mtx_t* lock) noexcept { return holder_of(reinterpret_cast<const pthread_mutex_t*>(lock)); }

/// What the kernel has booked; a time that could not be read is negative.
struct cpu_bookings {
    std::int64_t own_queue_ns = -1;  ///< how long the calling thread has been ready, but without a CPU
    std::int64_t holder_queue_ns = -1;
    long preemptions = 0;  ///< how often another thread of this process had its CPU taken away
};

/// One wait for a lock: looks when it begins, if anybody wants to know, and when it has ended.
class lock_wait {
public:
    explicit lock_wait(lock_holder holder) noexcept;
    /// `got_it`: the thread that held the lock has run again since.
    [[nodiscard]] detail::lost_cpu lost(bool got_it) const noexcept;

private:
    [[nodiscard]] cpu_bookings look() const noexcept;

    bool watched_ = false;
    int self_ = 0;
    int holder_ = 0;
    cpu_bookings before_;
};

/// The arguments of a function of the C library begin with the lock.
template <class F, class Lock, class... As>
[[gnu::always_inline]] inline int observe_lock(const char* function, F* next, Lock* lock, As... arguments) {
    watched_call call{function, -1, 0, {}};
    if (hooks() == nullptr || !begin_call(call)) [[likely]]
        return next(lock, arguments...);
    lock_wait wait{holder_of(lock)};
    int result = next(lock, arguments...);
    if (detail::guarded_call done; end_call(call, done)) {
        done.lost = wait.lost(result == 0 || result == EOWNERDEAD);
        tell(call, done, __builtin_frame_address(0));
    }
    return result;
}

}  // namespace belay::guard
