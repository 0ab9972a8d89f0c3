#include <belay/observability/guard/lock_waits.hpp>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cstdio>

namespace belay::guard {
namespace {

// Relaxed, all: whoever holds the lock may be changing it now.
template <class T>
T peek(const T& value) noexcept {
    return __atomic_load_n(&value, __ATOMIC_RELAXED);
}

/// The second number of /proc/self/task/<thread>/schedstat; 0 on a kernel without. By system calls: the functions are watched, too.
std::int64_t queue_ns(int thread) noexcept {
    std::array<char, 64> text{};
    std::snprintf(text.data(), text.size(), "/proc/self/task/%d/schedstat", thread);
    auto fd = static_cast<int>(::syscall(SYS_openat, AT_FDCWD, text.data(), O_RDONLY | O_CLOEXEC));
    if (fd < 0) return 0;
    auto size = ::syscall(SYS_read, fd, text.data(), text.size());
    ::syscall(SYS_close, fd);
    const char* end = text.data() + (size > 0 ? size : 0);
    const char* at = text.data();
    while (at != end && *at != ' ') ++at;
    std::int64_t found = 0;
    if (at != end) std::from_chars(at + 1, end, found);
    return found;
}

long preemptions_so_far() noexcept {
    rusage usage{};
    return ::getrusage(RUSAGE_SELF, &usage) == 0 ? usage.ru_nivcsw : 0;
}

}  // namespace

int holder_of(const pthread_mutex_t* lock) noexcept { return peek(lock->__data.__owner); }
int holder_of(const pthread_rwlock_t* lock) noexcept { return peek(lock->__data.__cur_writer); }

cpu_bookings bookings_of(int holder) noexcept {
    int saved = errno;
    cpu_bookings now{holder, queue_ns(static_cast<int>(::syscall(SYS_gettid))), queue_ns(holder), preemptions_so_far()};
    errno = saved;
    return now;
}

detail::lost_cpu lost_since(const cpu_bookings& before) noexcept {
    cpu_bookings now = bookings_of(before.holder);
    auto holders = now.holder_queue_ns - before.holder_queue_ns;
    // Of a holder that has ended since nothing can be read any more.
    return {now.own_queue_ns - before.own_queue_ns + holders, now.preemptions != before.preemptions, holders < 0};
}

}  // namespace belay::guard
