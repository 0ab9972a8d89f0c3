// Watches one call that waits for a lock: besides how long, for how much of it the host's other threads had the CPUs that it, or the
// thread that holds the lock, was ready to run on. A lock that is taken for microseconds is held until its holder has a CPU again.
#pragma once

#include <belay/observability/guard/calls.hpp>

#include <pthread.h>
#include <threads.h>

namespace belay::guard {

/// The thread that holds a lock; 0: nobody, several that read, or not known. Read without the lock, so of this moment.
int holder_of(const pthread_mutex_t* lock) noexcept;
int holder_of(const pthread_rwlock_t* lock) noexcept;
inline int holder_of(const mtx_t* lock) noexcept { return holder_of(reinterpret_cast<const pthread_mutex_t*>(lock)); }

/// What the kernel had booked when the wait began.
struct cpu_bookings {
    int holder = 0;
    std::int64_t own_queue_ns = 0;  ///< how long the calling thread has been ready, but without a CPU
    std::int64_t holder_queue_ns = 0;
    long preemptions = 0;  ///< how often a thread of this process had its CPU taken away
};
cpu_bookings bookings_of(int holder) noexcept;
/// What has been added to them.
detail::lost_cpu lost_since(const cpu_bookings& before) noexcept;

/// The arguments of a function of the C library begin with the lock.
template <class F, class Lock, class... As>
[[gnu::always_inline]] inline int observe_lock(const char* function, F* next, Lock* lock, As... arguments) {
    watched_call call{function, -1, 0, {}};
    if (hooks() == nullptr || !begin_call(call)) [[likely]]
        return next(lock, arguments...);
    int holder = holder_of(lock);
    cpu_bookings before = holder != 0 ? bookings_of(holder) : cpu_bookings{};
    int result = next(lock, arguments...);
    if (detail::guarded_call done; end_call(call, done)) {
        done.lost = holder != 0 ? lost_since(before) : detail::lost_cpu{.by_others = true};
        tell(call, done, __builtin_frame_address(0));
    }
    return result;
}

}  // namespace belay::guard
