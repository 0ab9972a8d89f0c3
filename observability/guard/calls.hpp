// Watches one call that could block: how long it took, and whether the kernel put the thread to sleep. The second is what tells a
// read() from the page cache from one that waits for a disk.
#pragma once

#include <belay/observability/guard/interpose.hpp>

#include <cerrno>
#include <cstdint>

namespace belay::guard {

/// The state of a call between its begin and its end, on the caller's stack.
struct watched_call {
    const char* function;
    int fd;
    std::int64_t began_ns = 0;
    detail::task_context task;
};

/// False: nothing is to be watched.
bool begin_call(watched_call& call) noexcept;
/// True: it is to be told, as `done`. Keeps errno.
bool end_call(const watched_call& call, detail::guarded_call& done) noexcept;
/// `frame`: the frame pointer of the function that was called instead of the C library's. Keeps errno.
void tell(const watched_call& call, detail::guarded_call& done, const void* frame) noexcept;

/// `next` may be variadic.
template <class F, class... As>
[[gnu::always_inline]] inline auto observe(const char* function, int fd, F* next, As... arguments) {
    watched_call call{function, fd, 0, {}};
    if (hooks() == nullptr || !begin_call(call)) [[likely]]
        return next(arguments...);
    auto result = next(arguments...);
    if (detail::guarded_call done; end_call(call, done)) tell(call, done, __builtin_frame_address(0));
    return result;
}

}  // namespace belay::guard

// BELAY_WATCH(ssize_t, read, fd, (int fd, void* to, size_t n), (fd, to, n)): watched, and otherwise what it was.
#define BELAY_ARGUMENTS(...) __VA_OPT__(, ) __VA_ARGS__
#define BELAY_WATCH(result, name, descriptor, parameters, arguments)                              \
    BELAY_GUARD(result, name, parameters, ) {                                                     \
        return belay::guard::observe(#name, descriptor, next_##name() BELAY_ARGUMENTS arguments); \
    }
