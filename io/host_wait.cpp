#include <belay/io/detail/host_wait.hpp>

#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

namespace belay::detail {
namespace {

[[noreturn]] void fail(int error) {
    throw std::system_error(error, std::generic_category(),
                            "belay: a local_runtime has no descriptors left for its native_handle(); raise RLIMIT_NOFILE "
                            "(ulimit -n) when it is EMFILE");
}

}  // namespace

host_wait::host_wait() {
    epoll_fd_ = ::epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd_ < 0) fail(errno);
    timer_fd_ = ::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    try {
        if (timer_fd_ < 0) fail(errno);
        watch(timer_fd_);
    } catch (...) {
        if (timer_fd_ >= 0) ::close(timer_fd_);
        ::close(epoll_fd_);
        throw;
    }
}

host_wait::~host_wait() {
    ::close(timer_fd_);
    ::close(epoll_fd_);
}

void host_wait::watch(int fd) {
    epoll_event event{};
    event.events = EPOLLIN;  // level-triggered: epoll looks again at what it has announced, so nobody has to take events out
    if (::epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, fd, &event) != 0) fail(errno);
}

void host_wait::arm(std::int64_t deadline_ns) noexcept {
    if (std::exchange(armed_ns_, deadline_ns) == deadline_ns) return;
    itimerspec when{};
    if (deadline_ns != never) {
        std::int64_t ns = std::max<std::int64_t>(deadline_ns, 1);  // 0 would disarm it; a time in the past expires now
        when.it_value.tv_sec = ns / 1'000'000'000;
        when.it_value.tv_nsec = ns % 1'000'000'000;
    }
    // Setting it takes back an expiry that nobody has read.
    ::timerfd_settime(timer_fd_, TFD_TIMER_ABSTIME, &when, nullptr);
}

}  // namespace belay::detail
