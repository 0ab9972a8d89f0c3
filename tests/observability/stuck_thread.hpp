// Threads that are stuck on purpose, in functions with names to look for, until the test lets them go.
#pragma once

#include <belay/observability/impl/thread_proc.hpp>

#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <thread>

namespace belay::test {

// The sanitizers' interceptors have no frame pointers, so the caller of an intercepted call is missing in a stack that is
// read from outside.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool intercepted_calls = true;
#elif defined(__has_feature)
inline constexpr bool intercepted_calls = __has_feature(address_sanitizer) || __has_feature(thread_sanitizer);
#else
inline constexpr bool intercepted_calls = false;
#endif

[[gnu::noinline]] inline void spin_in_a_named_function(std::atomic<bool>& end) {
    while (!end.load(std::memory_order_relaxed)) {}
    asm volatile("" ::: "memory");  // no tail call: this frame must be on the stack
}
[[gnu::noinline]] inline void read_in_a_named_function(int fd) {
    char byte = 0;
    [[maybe_unused]] auto n = ::read(fd, &byte, 1);
    asm volatile("" ::: "memory");
}

class stuck_thread {
public:
    stuck_thread(const stuck_thread&) = delete;
    stuck_thread& operator=(const stuck_thread&) = delete;
    [[nodiscard]] int tid() const noexcept { return tid_.load(std::memory_order_acquire); }
    [[nodiscard]] std::uint64_t pthread() noexcept { return static_cast<std::uint64_t>(thread_.native_handle()); }

protected:
    template <class Body>
    explicit stuck_thread(Body body)
        : thread_{[this, body] {
              tid_.store(static_cast<int>(::syscall(SYS_gettid)), std::memory_order_release);
              body();
          }} {
        while (tid() == 0) std::this_thread::yield();
    }
    ~stuck_thread() { thread_.join(); }

private:
    std::atomic<int> tid_{0};
    std::thread thread_;
};

struct spin_state {
    std::atomic<bool> end{false};
};

/// Computes.
class hog_thread : private spin_state, public stuck_thread {
public:
    hog_thread() : stuck_thread{[this] { spin_in_a_named_function(end); }} {}
    ~hog_thread() { end.store(true, std::memory_order_relaxed); }
};

struct pipe_pair {
    std::array<int, 2> fds{-1, -1};
    pipe_pair() {
        if (::pipe(fds.data()) != 0) ::abort();
    }
    ~pipe_pair() {
        ::close(fds[0]);
        ::close(fds[1]);
    }
};

/// Reads from a pipe that is empty. Made when the kernel says that it is in that call.
class blocked_thread : private pipe_pair, public stuck_thread {
public:
    blocked_thread() : stuck_thread{[this] { read_in_a_named_function(fds[0]); }} {
        for (;;) {
            auto call = detail::read_syscall(tid());
            if (call.asleep && call.number == SYS_read) return;
            std::this_thread::yield();
        }
    }
    ~blocked_thread() {
        char byte = 0;
        [[maybe_unused]] auto n = ::write(fds[1], &byte, 1);
    }
    [[nodiscard]] int fd() const noexcept { return fds[0]; }
};

}  // namespace belay::test
