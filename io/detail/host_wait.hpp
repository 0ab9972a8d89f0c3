// The descriptor that a host's event loop waits for: a driver's own descriptors and one timer behind an epoll descriptor. For
// the ports of a local_runtime.
#pragma once

#include <cstdint>
#include <limits>

namespace belay::detail {

class host_wait {
public:
    static constexpr std::int64_t at_once = std::numeric_limits<std::int64_t>::min();
    static constexpr std::int64_t never = std::numeric_limits<std::int64_t>::max();

    /// Throws std::system_error whose text names the limit and the remedy.
    host_wait();
    host_wait(const host_wait&) = delete;
    host_wait& operator=(const host_wait&) = delete;
    ~host_wait();

    /// The handle becomes readable while `fd` is. Throws std::system_error.
    void watch(int fd);
    /// Readable from this time of the steady clock on, until it is armed for a later one. A system call only when the time
    /// differs from that of the last call.
    void arm(std::int64_t deadline_ns) noexcept;
    /// Readable while something is to be done: nobody reads from it.
    [[nodiscard]] int fd() const noexcept { return epoll_fd_; }

private:
    int epoll_fd_ = -1;
    int timer_fd_ = -1;
    std::int64_t armed_ns_ = never;
};

}  // namespace belay::detail
