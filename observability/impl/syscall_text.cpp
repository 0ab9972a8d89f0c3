#include <belay/observability/impl/syscall_text.hpp>

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstdio>

#ifndef FUTEX_LOCK_PI2  // headers from before Linux 5.14
#define FUTEX_LOCK_PI2 13
#endif

namespace belay::detail {
namespace {

// What the first argument is.
enum class first_argument : std::uint8_t { none, descriptor, futex };

struct known_call {
    long number;
    const char* name;
    wait_family family;
    first_argument first;
};

constexpr auto fd_arg = first_argument::descriptor;
constexpr auto no_arg = first_argument::none;

// The calls that put threads to sleep in practice; others are shown by their number.
constexpr known_call known_calls[] = {
    {SYS_read, "read", wait_family::descriptor, fd_arg},
    {SYS_write, "write", wait_family::descriptor, fd_arg},
    {SYS_readv, "readv", wait_family::descriptor, fd_arg},
    {SYS_writev, "writev", wait_family::descriptor, fd_arg},
    {SYS_pread64, "pread", wait_family::storage, fd_arg},
    {SYS_pwrite64, "pwrite", wait_family::storage, fd_arg},
    {SYS_preadv, "preadv", wait_family::storage, fd_arg},
    {SYS_pwritev, "pwritev", wait_family::storage, fd_arg},
    {SYS_preadv2, "preadv2", wait_family::storage, fd_arg},
    {SYS_pwritev2, "pwritev2", wait_family::storage, fd_arg},
    {SYS_fsync, "fsync", wait_family::storage, fd_arg},
    {SYS_fdatasync, "fdatasync", wait_family::storage, fd_arg},
    {SYS_sync, "sync", wait_family::storage, no_arg},
    {SYS_syncfs, "syncfs", wait_family::storage, fd_arg},
    {SYS_copy_file_range, "copy_file_range", wait_family::storage, fd_arg},
    {SYS_openat, "openat", wait_family::storage, no_arg},
    {SYS_unlinkat, "unlinkat", wait_family::storage, no_arg},
    {SYS_getdents64, "getdents", wait_family::storage, fd_arg},
    {SYS_sendfile, "sendfile", wait_family::descriptor, fd_arg},
    {SYS_splice, "splice", wait_family::descriptor, fd_arg},
    {SYS_recvfrom, "recvfrom", wait_family::descriptor, fd_arg},
    {SYS_sendto, "sendto", wait_family::descriptor, fd_arg},
    {SYS_recvmsg, "recvmsg", wait_family::descriptor, fd_arg},
    {SYS_sendmsg, "sendmsg", wait_family::descriptor, fd_arg},
    {SYS_recvmmsg, "recvmmsg", wait_family::descriptor, fd_arg},
    {SYS_sendmmsg, "sendmmsg", wait_family::descriptor, fd_arg},
    {SYS_accept, "accept", wait_family::descriptor, fd_arg},
    {SYS_accept4, "accept4", wait_family::descriptor, fd_arg},
    {SYS_connect, "connect", wait_family::descriptor, fd_arg},
    {SYS_close, "close", wait_family::descriptor, fd_arg},
    {SYS_ppoll, "ppoll", wait_family::multiplexer, no_arg},
    {SYS_pselect6, "pselect6", wait_family::multiplexer, no_arg},
    {SYS_epoll_pwait, "epoll_pwait", wait_family::multiplexer, fd_arg},
#ifdef SYS_epoll_pwait2  // Linux 5.11
    {SYS_epoll_pwait2, "epoll_pwait2", wait_family::multiplexer, fd_arg},
#endif
    {SYS_io_uring_enter, "io_uring_enter", wait_family::multiplexer, fd_arg},
    {SYS_nanosleep, "nanosleep", wait_family::sleep, no_arg},
    {SYS_clock_nanosleep, "clock_nanosleep", wait_family::sleep, no_arg},
    {SYS_futex, "futex", wait_family::lock, first_argument::futex},
#ifdef SYS_futex_waitv  // Linux 5.16
    {SYS_futex_waitv, "futex_waitv", wait_family::lock, no_arg},
#endif
    {SYS_semop, "semop", wait_family::lock, no_arg},
    {SYS_semtimedop, "semtimedop", wait_family::lock, no_arg},
    {SYS_msgrcv, "msgrcv", wait_family::other, no_arg},
    {SYS_msgsnd, "msgsnd", wait_family::other, no_arg},
    {SYS_mq_timedreceive, "mq_timedreceive", wait_family::other, fd_arg},
    {SYS_mq_timedsend, "mq_timedsend", wait_family::other, fd_arg},
    {SYS_flock, "flock", wait_family::file_lock, fd_arg},
    {SYS_fcntl, "fcntl", wait_family::file_lock, fd_arg},
    {SYS_wait4, "wait4", wait_family::process, no_arg},
    {SYS_waitid, "waitid", wait_family::process, no_arg},
    {SYS_rt_sigtimedwait, "rt_sigtimedwait", wait_family::other, no_arg},
    {SYS_rt_sigsuspend, "rt_sigsuspend", wait_family::other, no_arg},
    {SYS_msync, "msync", wait_family::storage, no_arg},
    {SYS_execve, "execve", wait_family::process, no_arg},
#ifdef SYS_open  // what newer architectures do not have
    {SYS_open, "open", wait_family::storage, no_arg},
    {SYS_creat, "creat", wait_family::storage, no_arg},
    {SYS_poll, "poll", wait_family::multiplexer, no_arg},
    {SYS_select, "select", wait_family::multiplexer, no_arg},
    {SYS_epoll_wait, "epoll_wait", wait_family::multiplexer, fd_arg},
    {SYS_pause, "pause", wait_family::other, no_arg},
    {SYS_vfork, "vfork", wait_family::process, no_arg},
#endif
};

const known_call* find_call(long number) noexcept {
    for (const auto& known : known_calls)
        if (known.number == number) return &known;
    return nullptr;
}

/// Calls of the table that sleep only with some arguments, or not where it would matter.
bool sleeps_with(long number, const std::array<std::uint64_t, 6>& args) noexcept {
    switch (number) {
    case SYS_futex:
        switch (args[1] & static_cast<unsigned>(FUTEX_CMD_MASK)) {
        case FUTEX_WAIT:
        case FUTEX_WAIT_BITSET:
        case FUTEX_LOCK_PI:
        case FUTEX_LOCK_PI2:
        case FUTEX_WAIT_REQUEUE_PI: return true;
        default: return false;
        }
    case SYS_fcntl: return args[1] == F_SETLKW || args[1] == F_OFD_SETLKW;
    case SYS_io_uring_enter: return args[2] != 0;  // completions to wait for
    case SYS_close:  // the guard leaves it alone, too
    case SYS_execve: return false;  // nothing comes back
#ifdef SYS_vfork
    case SYS_vfork: return false;
#endif
    default: return true;
    }
}

// The peer of a connected internet socket, or nothing.
std::string peer_of(int fd) {
    sockaddr_storage address{};
    socklen_t length = sizeof address;
    if (::getpeername(fd, reinterpret_cast<sockaddr*>(&address), &length) != 0) return {};
    std::array<char, INET6_ADDRSTRLEN> text{};
    if (address.ss_family == AF_INET) {
        const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
        ::inet_ntop(AF_INET, &v4.sin_addr, text.data(), text.size());
        return std::string{" to "} + text.data() + ":" + std::to_string(ntohs(v4.sin_port));
    }
    if (address.ss_family == AF_INET6) {
        const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
        ::inet_ntop(AF_INET6, &v6.sin6_addr, text.data(), text.size());
        return std::string{" to ["} + text.data() + "]:" + std::to_string(ntohs(v6.sin6_port));
    }
    return {};
}

std::string hex_text(std::uint64_t value) {
    std::array<char, 24> text{};
    std::snprintf(text.data(), text.size(), "0x%lx", static_cast<unsigned long>(value));
    return text.data();
}

}  // namespace

std::string describe_descriptor(int fd) {
    std::array<char, 32> path{};
    std::snprintf(path.data(), path.size(), "/proc/self/fd/%d", fd);
    std::array<char, 256> target{};
    auto n = ::readlink(path.data(), target.data(), target.size() - 1);
    return std::to_string(fd) + (n > 0 ? std::string{" -> "} + target.data() + peer_of(fd) : std::string{});
}

syscall_description describe_syscall(const thread_syscall& call) {
    if (call.number < 0)
        return {"none: asleep in the kernel outside a system call, for example in a page fault", wait_family::storage};
    const known_call* known = find_call(call.number);
    if (known == nullptr) return {"system call number " + std::to_string(call.number), wait_family::other};
    std::string arguments;
    if (known->first == first_argument::descriptor) arguments = "fd=" + describe_descriptor(static_cast<int>(call.args[0]));
    if (known->first == first_argument::futex) arguments = hex_text(call.args[0]) + ", a mutex, condition variable or other lock";
    return {std::string{known->name} + "(" + arguments + ")", known->family};
}

sleeping_syscall may_sleep(long number, const std::array<std::uint64_t, 6>& args) noexcept {
    const known_call* known = find_call(number);
    if (known == nullptr || !sleeps_with(number, args)) return {};
    return {known->name, known->first == first_argument::descriptor ? static_cast<int>(args[0]) : -1};
}

const char* advice_for(wait_family family) noexcept {
    switch (family) {
    case wait_family::descriptor:
        return "use the sockets and files of belay::io, or move the call off the workers:\n"
               "co_await belay::spawn_blocking([&] { ... });";
    case wait_family::multiplexer:
        return "a worker waits for descriptors itself: co_await the operations of belay::io instead, or run the foreign loop on\n"
               "its own thread. Note: on a worker such a call can also end early with EINTR.";
    case wait_family::sleep: return "co_await belay::sleep_for(...) lets other tasks run meanwhile.";
    case wait_family::lock:
        return "use belay::mutex, a channel or another primitive that suspends the task; or move the code that waits off the\n"
               "workers: co_await belay::spawn_blocking([&] { ... });";
    case wait_family::process:
    case wait_family::file_lock:
    case wait_family::storage:
    case wait_family::other: return "move the call off the workers: co_await belay::spawn_blocking([&] { ... });";
    }
    return "";
}

}  // namespace belay::detail
