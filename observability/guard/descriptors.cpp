// Calls that may wait for a descriptor or a file.
#include <belay/observability/guard/calls.hpp>

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cstdarg>

using belay::guard::observe;

BELAY_WATCH(ssize_t, read, fd, (int fd, void* to, std::size_t n), (fd, to, n))
BELAY_WATCH(ssize_t, write, fd, (int fd, const void* from, std::size_t n), (fd, from, n))
BELAY_WATCH(ssize_t, pread, fd, (int fd, void* to, std::size_t n, off_t at), (fd, to, n, at))
BELAY_WATCH(ssize_t, pread64, fd, (int fd, void* to, std::size_t n, off64_t at), (fd, to, n, at))
BELAY_WATCH(ssize_t, pwrite, fd, (int fd, const void* from, std::size_t n, off_t at), (fd, from, n, at))
BELAY_WATCH(ssize_t, pwrite64, fd, (int fd, const void* from, std::size_t n, off64_t at), (fd, from, n, at))
BELAY_WATCH(ssize_t, readv, fd, (int fd, const iovec* to, int n), (fd, to, n))
BELAY_WATCH(ssize_t, writev, fd, (int fd, const iovec* from, int n), (fd, from, n))
BELAY_WATCH(ssize_t, preadv, fd, (int fd, const iovec* to, int n, off_t at), (fd, to, n, at))
BELAY_WATCH(ssize_t, preadv64, fd, (int fd, const iovec* to, int n, off64_t at), (fd, to, n, at))
BELAY_WATCH(ssize_t, pwritev, fd, (int fd, const iovec* from, int n, off_t at), (fd, from, n, at))
BELAY_WATCH(ssize_t, pwritev64, fd, (int fd, const iovec* from, int n, off64_t at), (fd, from, n, at))

BELAY_WATCH(ssize_t, recv, fd, (int fd, void* to, std::size_t n, int flags), (fd, to, n, flags))
BELAY_WATCH(ssize_t, recvfrom, fd, (int fd, void* to, std::size_t n, int flags, sockaddr* who, socklen_t* size),
            (fd, to, n, flags, who, size))
BELAY_WATCH(ssize_t, recvmsg, fd, (int fd, msghdr* message, int flags), (fd, message, flags))
BELAY_WATCH(ssize_t, send, fd, (int fd, const void* from, std::size_t n, int flags), (fd, from, n, flags))
BELAY_WATCH(ssize_t, sendto, fd, (int fd, const void* from, std::size_t n, int flags, const sockaddr* to, socklen_t size),
            (fd, from, n, flags, to, size))
BELAY_WATCH(ssize_t, sendmsg, fd, (int fd, const msghdr* message, int flags), (fd, message, flags))
BELAY_WATCH(int, recvmmsg, fd, (int fd, mmsghdr* messages, unsigned n, int flags, timespec* limit),
            (fd, messages, n, flags, limit))
BELAY_WATCH(int, sendmmsg, fd, (int fd, mmsghdr* messages, unsigned n, int flags), (fd, messages, n, flags))
BELAY_WATCH(int, accept, fd, (int fd, sockaddr* who, socklen_t* size), (fd, who, size))
BELAY_WATCH(int, accept4, fd, (int fd, sockaddr* who, socklen_t* size, int flags), (fd, who, size, flags))
BELAY_WATCH(int, connect, fd, (int fd, const sockaddr* to, socklen_t size), (fd, to, size))

BELAY_WATCH(int, poll, -1, (pollfd * fds, nfds_t n, int ms), (fds, n, ms))
BELAY_WATCH(int, ppoll, -1, (pollfd * fds, nfds_t n, const timespec* limit, const sigset_t* mask), (fds, n, limit, mask))
BELAY_WATCH(int, select, -1, (int n, fd_set* r, fd_set* w, fd_set* e, timeval* limit), (n, r, w, e, limit))
BELAY_WATCH(int, pselect, -1, (int n, fd_set* r, fd_set* w, fd_set* e, const timespec* limit, const sigset_t* mask),
            (n, r, w, e, limit, mask))
BELAY_WATCH(int, epoll_wait, fd, (int fd, epoll_event* events, int n, int ms), (fd, events, n, ms))
BELAY_WATCH(int, epoll_pwait, fd, (int fd, epoll_event* events, int n, int ms, const sigset_t* mask), (fd, events, n, ms, mask))

BELAY_WATCH(int, epoll_pwait2, fd, (int fd, epoll_event* events, int n, const timespec* limit, const sigset_t* mask),
            (fd, events, n, limit, mask))

BELAY_GUARD(ssize_t, sendfile, (int to, int from, off_t* at, std::size_t n), noexcept) {
    return observe("sendfile", to, next_sendfile(), to, from, at, n);
}
BELAY_GUARD(ssize_t, sendfile64, (int to, int from, off64_t* at, std::size_t n), noexcept) {
    return observe("sendfile64", to, next_sendfile64(), to, from, at, n);
}
BELAY_WATCH(ssize_t, splice, from, (int from, off64_t* at, int to, off64_t* to_at, std::size_t n, unsigned flags),
            (from, at, to, to_at, n, flags))
BELAY_WATCH(ssize_t, copy_file_range, from, (int from, off64_t* at, int to, off64_t* to_at, std::size_t n, unsigned flags),
            (from, at, to, to_at, n, flags))

BELAY_GUARD(void, sync, (), noexcept) {
    observe(
        "sync", -1, +[]() noexcept {
            next_sync()();
            return 0;
        });
}
BELAY_GUARD(int, syncfs, (int fd), noexcept) { return observe("syncfs", fd, next_syncfs(), fd); }
BELAY_WATCH(int, msync, -1, (void* at, std::size_t n, int flags), (at, n, flags))
BELAY_WATCH(int, fsync, fd, (int fd), (fd))
BELAY_WATCH(int, fdatasync, fd, (int fd), (fd))
BELAY_GUARD(int, flock, (int fd, int operation), noexcept) { return observe("flock", fd, next_flock(), fd, operation); }
BELAY_WATCH(int, lockf, fd, (int fd, int operation, off_t n), (fd, operation, n))
BELAY_WATCH(int, lockf64, fd, (int fd, int operation, off64_t n), (fd, operation, n))

// What compilers call instead when they know the size of the buffer.
BELAY_WATCH(ssize_t, __read_chk, fd, (int fd, void* to, std::size_t n, std::size_t size), (fd, to, n, size))
BELAY_WATCH(ssize_t, __pread_chk, fd, (int fd, void* to, std::size_t n, off_t at, std::size_t size), (fd, to, n, at, size))
BELAY_WATCH(ssize_t, __pread64_chk, fd, (int fd, void* to, std::size_t n, off64_t at, std::size_t size), (fd, to, n, at, size))
BELAY_WATCH(ssize_t, __recv_chk, fd, (int fd, void* to, std::size_t n, std::size_t size, int flags), (fd, to, n, size, flags))
BELAY_WATCH(ssize_t, __recvfrom_chk, fd,
            (int fd, void* to, std::size_t n, std::size_t size, int flags, sockaddr* who, socklen_t* length),
            (fd, to, n, size, flags, who, length))
BELAY_WATCH(int, __open_2, -1, (const char* path, int flags), (path, flags))
BELAY_WATCH(int, __open64_2, -1, (const char* path, int flags), (path, flags))
BELAY_WATCH(int, __openat_2, -1, (int directory, const char* path, int flags), (directory, path, flags))
BELAY_WATCH(int, __poll_chk, -1, (pollfd * fds, nfds_t n, int ms, std::size_t size), (fds, n, ms, size))

// open() waits for the other end of a fifo, and for what a network file system needs. The third argument is there only with
// O_CREAT or O_TMPFILE; handing on one that was not given hands on what happened to be in its register, as libc would read it.
#define BELAY_WATCH_OPEN(name)                                       \
    BELAY_GUARD(int, name, (const char* path, int flags, ...), ) {   \
        std::va_list rest;                                           \
        va_start(rest, flags);                                       \
        auto mode = va_arg(rest, mode_t);                            \
        va_end(rest);                                                \
        return observe(#name, -1, next_##name(), path, flags, mode); \
    }
BELAY_WATCH_OPEN(open)
BELAY_WATCH_OPEN(open64)
#define BELAY_WATCH_OPENAT(name)                                                  \
    BELAY_GUARD(int, name, (int directory, const char* path, int flags, ...), ) { \
        std::va_list rest;                                                        \
        va_start(rest, flags);                                                    \
        auto mode = va_arg(rest, mode_t);                                         \
        va_end(rest);                                                             \
        return observe(#name, -1, next_##name(), directory, path, flags, mode);   \
    }
BELAY_WATCH_OPENAT(openat)
BELAY_WATCH_OPENAT(openat64)
BELAY_WATCH(int, creat, -1, (const char* path, mode_t mode), (path, mode))

// Of fcntl the locks that wait. Its argument is a number or a pointer, which arrive in the same register.
#define BELAY_WATCH_FCNTL(name)                                                                          \
    BELAY_GUARD(int, name, (int fd, int command, ...), ) {                                               \
        std::va_list rest;                                                                               \
        va_start(rest, command);                                                                         \
        auto* argument = va_arg(rest, void*);                                                            \
        va_end(rest);                                                                                    \
        if (command != F_SETLKW && command != F_OFD_SETLKW) return next_##name()(fd, command, argument); \
        return observe(#name, fd, next_##name(), fd, command, argument);                                 \
    }
BELAY_WATCH_FCNTL(fcntl)
BELAY_WATCH_FCNTL(fcntl64)
