// Tells ThreadSanitizer about the edge that it cannot see: what the owner wrote to an operation before its SQE was
// published happens before what another thread does with it after reaping the CQE. The edge goes through the kernel.
// Private to io/uring.
#pragma once

#if defined(__SANITIZE_THREAD__)
#define BELAY_URING_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define BELAY_URING_TSAN 1
#endif
#endif

#ifdef BELAY_URING_TSAN
extern "C" {
void __tsan_acquire(void* address);
void __tsan_release(void* address);
}
#endif

namespace belay::detail::uring {

#ifdef BELAY_URING_TSAN
inline void tsan_release(void* address) noexcept { __tsan_release(address); }
inline void tsan_acquire(void* address) noexcept { __tsan_acquire(address); }
#else
inline void tsan_release(void*) noexcept {}
inline void tsan_acquire(void*) noexcept {}
#endif

}  // namespace belay::detail::uring
