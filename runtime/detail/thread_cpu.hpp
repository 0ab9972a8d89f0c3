// How much CPU time another thread has had.
#pragma once

#include <time.h>

#include <cstdint>

namespace belay::detail {

/// In nanoseconds; -1 when there is no such thread any more. One system call, and the thread is not disturbed.
inline std::int64_t thread_cpu_ns(int tid) noexcept {
    // What pthread_getcpuclockid() computes; but that reads the kernel's number from the thread's memory, which may be gone: a host's
    // thread ends when it likes. A thread that has ended gives an error here.
    auto clock = static_cast<clockid_t>((~static_cast<unsigned>(tid) << 3) | 6U);  // per thread, CPU time
    timespec at{};
    if (::clock_gettime(clock, &at) != 0) return -1;
    return std::int64_t{at.tv_sec} * 1'000'000'000 + at.tv_nsec;
}

}  // namespace belay::detail
