#include <belay/observability/guard/lock_waits.hpp>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <limits>

namespace belay::guard {
namespace {

// Relaxed, all: whoever holds the lock may be changing it now.
template <class T>
T peek(const T& value) noexcept {
    return __atomic_load_n(&value, __ATOMIC_RELAXED);
}

/// The second number of /proc/self/task/<thread>/schedstat, or -1. By system calls: the functions are watched, too.
std::int64_t queue_ns(int thread) noexcept {
    std::array<char, 64> text{};
    std::snprintf(text.data(), text.size(), "/proc/self/task/%d/schedstat", thread);
    auto fd = static_cast<int>(::syscall(SYS_openat, AT_FDCWD, text.data(), O_RDONLY | O_CLOEXEC));
    if (fd < 0) return -1;
    auto size = ::syscall(SYS_read, fd, text.data(), text.size());
    ::syscall(SYS_close, fd);
    if (size <= 0) return -1;
    const char* end = text.data() + size;
    const char* at = std::find(static_cast<const char*>(text.data()), end, ' ');
    std::int64_t found = -1;
    if (at != end) std::from_chars(at + 1, end, found);
    return found;
}

long preemptions_of(int who) noexcept {
    rusage usage{};
    return ::getrusage(who, &usage) == 0 ? usage.ru_nivcsw : 0;
}

/// Negative if either is not known. The number of a thread that has ended may be another one's by now.
std::int64_t added(std::int64_t before, std::int64_t now) noexcept { return before < 0 || now < 0 ? -1 : now - before; }

/// With every call reported, or none, nobody asks why one took long.
bool somebody_asks() noexcept {
    auto shortest = hooks()->shortest_call_ns->load(std::memory_order_relaxed);  // a setting
    return shortest != 0 && shortest != std::numeric_limits<std::int64_t>::max();
}

}  // namespace

lock_holder holder_of(const pthread_mutex_t* lock) noexcept {
    int thread = peek(lock->__data.__owner);
    return {thread != 0 || peek(lock->__data.__lock) != 0, thread};
}

lock_holder holder_of(const pthread_rwlock_t* lock) noexcept {
    int thread = peek(lock->__data.__cur_writer);
    constexpr unsigned phase_bits = 3;  // the lowest ones, which stay when nobody holds it
    return {thread != 0 || (peek(lock->__data.__readers) >> phase_bits) != 0, thread};
}

cpu_bookings lock_wait::look() const noexcept {
    int saved = errno;
    cpu_bookings now{queue_ns(self_), holder_ != 0 ? queue_ns(holder_) : -1,
                     preemptions_of(RUSAGE_SELF) - preemptions_of(RUSAGE_THREAD)};
    errno = saved;
    return now;
}

lock_wait::lock_wait(lock_holder holder) noexcept {
    if (!holder.any || !somebody_asks()) return;
    self_ = static_cast<int>(::syscall(SYS_gettid));
    if (holder.thread == self_) return;  // takes it once more
    watched_ = true;
    holder_ = holder.thread;
    before_ = look();
}

detail::lost_cpu lock_wait::lost(bool got_it) const noexcept {
    if (!watched_) return {0, true};
    cpu_bookings now = look();
    // The kernel books it when the thread has a CPU again, and forgets all with the thread.
    auto own = added(before_.own_queue_ns, now.own_queue_ns);
    auto holders = got_it ? added(before_.holder_queue_ns, now.holder_queue_ns) : -1;
    return {std::max<std::int64_t>(own, 0) + std::max<std::int64_t>(holders, 0),
            own < 0 || holders < 0 || now.preemptions != before_.preemptions};
}

}  // namespace belay::guard
