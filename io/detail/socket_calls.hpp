// The system calls that make and describe sockets and pipes: the kernel's, or on a thread that has a simulation those of its network.
#pragma once

#include <sys/socket.h>

namespace belay::io::detail {

/// As socket(2) and so on: -1 and errno. Descriptors of a simulation are told by their numbers, so that a program may hold both.
struct socket_calls {
    static int socket(int domain, int type, int protocol) noexcept;
    static int socketpair(int domain, int type, int protocol, int ends[2]) noexcept;
    /// Close-on-exec and non-blocking.
    static int pipe(int ends[2]) noexcept;
    static int bind(int fd, const sockaddr* address, socklen_t length) noexcept;
    static int listen(int fd, int backlog) noexcept;
    /// Of datagram sockets: it does not wait.
    static int connect(int fd, const sockaddr* address, socklen_t length) noexcept;
    static int accept4(int fd, int flags) noexcept;
    static int shutdown(int fd, int how) noexcept;
    static int close(int fd) noexcept;
    static int set_option(int fd, int level, int name, int value) noexcept;
    static int get_option(int fd, int level, int name, int& value) noexcept;
    static int local_address(int fd, sockaddr* address, socklen_t* length) noexcept;
    static int peer_address(int fd, sockaddr* address, socklen_t* length) noexcept;
};

}  // namespace belay::io::detail
