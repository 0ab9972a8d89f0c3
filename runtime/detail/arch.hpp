#pragma once

#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
#endif

namespace belay::detail {

// What two threads write must be this far apart. A constant instead of std::hardware_destructive_interference_size,
// whose value changes with -mtune and would make the layout of our types depend on the user's flags.
inline constexpr unsigned cache_line_size = 64;

// Tells the core that this is a spin-wait: frees the sibling hyper-thread and avoids the memory-order
// mis-speculation flush when the awaited line changes. The only file that knows the architecture.
inline void cpu_relax() noexcept {
#if defined(__x86_64__) || defined(__i386__)
    _mm_pause();
#elif defined(__aarch64__) || defined(__arm__)
    asm volatile("yield" ::: "memory");
#else
    asm volatile("" ::: "memory");
#endif
}

}  // namespace belay::detail
