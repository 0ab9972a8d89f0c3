#include <belay/io/asio_driver/impl/attempt.hpp>
#include <belay/runtime/detail/held_guards.hpp>

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>

namespace belay::detail {
namespace {

// io_operation::driver_word: how far a connect has come.
constexpr std::uint64_t connect_started = 1;
constexpr std::uint64_t connect_refused_for_now = 2;

// The kernel transfers at most this much in one call anyway (MAX_RW_COUNT), and results have 32 bits.
constexpr std::size_t most = 0x7fff'f000;

/// Repeats a call that a signal interrupted, and turns -1 into -errno, "would block" into `not_yet`.
template <class Call>
std::int32_t perform(Call call) noexcept {
    own_code mine;  // no call here waits
    for (;;) {
        auto result = call();
        if (result >= 0) return static_cast<std::int32_t>(result);
        if (errno == EINTR) continue;
        return errno == EAGAIN || errno == EWOULDBLOCK ? not_yet : -errno;
    }
}

/// The events of `mask` (and POLLERR, POLLHUP) that hold now.
std::int32_t poll_now(int fd, short mask) noexcept {
    pollfd entry{.fd = fd, .events = mask, .revents = 0};
    auto ready = perform([&] { return ::poll(&entry, 1, 0); });
    if (ready <= 0) return ready == 0 ? not_yet : ready;
    return (entry.revents & POLLNVAL) != 0 ? -EBADF : entry.revents;
}

/// epoll refuses these, and poll(2) calls them always ready.
bool never_announced(int fd) noexcept {
    struct stat info{};
    return ::fstat(fd, &info) == 0 && (S_ISREG(info.st_mode) || S_ISBLK(info.st_mode) || S_ISDIR(info.st_mode));
}

/// Makes accept4() return EAGAIN. It has no flag for that, and asking poll(2) first is not enough: the connection may be
/// gone, or taken by another process, by the time of the call, which would then block the worker. The flag stays set,
/// because taking it back would race with another acceptor.
void make_nonblocking(int fd) noexcept {
    int flags = ::fcntl(fd, F_GETFL);
    if (flags >= 0 && (flags & O_NONBLOCK) == 0) ::fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

std::int32_t attempt_accept(const io_request& request) noexcept {
    make_nonblocking(request.fd);
    return perform([&] { return ::accept4(request.fd, request.address, request.address_length, request.flags); });
}

std::int32_t begin_connect(io_operation& op) noexcept {
    const io_request& request = op.request;
    int flags = ::fcntl(request.fd, F_GETFL);
    if (flags < 0) return -errno;
    bool blocking = (flags & O_NONBLOCK) == 0;
    if (blocking) ::fcntl(request.fd, F_SETFL, flags | O_NONBLOCK);
    int result = ::connect(request.fd, request.address, request.connect_length) == 0 ? 0 : -errno;
    if (blocking) ::fcntl(request.fd, F_SETFL, flags);  // only the call itself had to be non-blocking

    if (result == -EINPROGRESS || result == -EALREADY || result == -EINTR) {
        op.driver_word = connect_started;
        return not_yet;
    }
    if (result == -EAGAIN && request.address->sa_family == AF_UNIX) {  // the backlog is full; TCP means "no free port"
        op.driver_word = connect_refused_for_now;
        return not_yet;
    }
    return result;
}

std::int32_t attempt_connect(io_operation& op) noexcept {
    if (op.driver_word != connect_started) return begin_connect(op);
    auto ready = poll_now(op.request.fd, POLLOUT);
    if (ready < 0) return ready;
    int error = 0;
    socklen_t size = sizeof error;
    if (::getsockopt(op.request.fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) return -errno;
    return -error;
}

std::int32_t attempt_recv(io_operation& op) noexcept {
    const io_request& request = op.request;
    auto length = std::min(request.length, most);
    auto result = perform([&] { return ::recv(request.fd, request.buffer, length, request.flags | MSG_DONTWAIT); });
    // A buffer that was not filled means that the socket was drained, or that it keeps boundaries; then the next recv
    // starts by waiting, which costs it nothing if there is something after all.
    op.socket_nonempty = result >= 0 && static_cast<std::size_t>(result) == length;
    return result;
}

std::int32_t attempt_read(const io_request& request) noexcept {
    auto length = std::min(request.length, most);
    iovec span{.iov_base = request.buffer, .iov_len = length};
    auto result = perform([&] { return ::preadv2(request.fd, &span, 1, request.offset, RWF_NOWAIT); });
    if (result != not_yet && result != -EOPNOTSUPP && result != -ENOSYS) return result;

    bool file = never_announced(request.fd);
    if (!file) {
        if (result == not_yet) return not_yet;
        // No RWF_NOWAIT for this kind of descriptor: read only what poll(2) promises.
        if (auto ready = poll_now(request.fd, POLLIN); ready < 0) return ready;
    }
    if (request.offset >= 0) return perform([&] { return ::pread(request.fd, request.buffer, length, request.offset); });
    return perform([&] { return ::read(request.fd, request.buffer, length); });
}

std::int32_t attempt_write(const io_request& request) noexcept {
    auto length = std::min(request.length, most);
    iovec span{.iov_base = request.buffer, .iov_len = length};
    auto result = perform([&] { return ::pwritev2(request.fd, &span, 1, request.offset, RWF_NOWAIT); });
    if (result != not_yet && result != -EOPNOTSUPP && result != -ENOSYS) return result;

    if (!never_announced(request.fd)) {
        if (result == not_yet) return not_yet;
        if (auto ready = poll_now(request.fd, POLLOUT); ready < 0) return ready;
        length = std::min<std::size_t>(length, PIPE_BUF);  // a writable pipe has room for this much and maybe no more
    }
    if (request.offset >= 0) return perform([&] { return ::pwrite(request.fd, request.buffer, length, request.offset); });
    return perform([&] { return ::write(request.fd, request.buffer, length); });
}

}  // namespace

std::int32_t attempt(io_operation& op) noexcept {
    const io_request& request = op.request;
    switch (request.opcode) {
    case io_opcode::nop: return 0;
    case io_opcode::poll: return poll_now(request.fd, static_cast<short>(request.flags));
    case io_opcode::accept: return attempt_accept(request);
    case io_opcode::connect: return attempt_connect(op);
    case io_opcode::recv: return attempt_recv(op);
    case io_opcode::send:
        return perform([&] {
            return ::send(request.fd, request.buffer, std::min(request.length, most),
                          request.flags | MSG_DONTWAIT | MSG_NOSIGNAL);
        });
    case io_opcode::recvmsg: return perform([&] { return ::recvmsg(request.fd, request.message, request.flags | MSG_DONTWAIT); });
    case io_opcode::sendmsg:
        return perform([&] { return ::sendmsg(request.fd, request.message, request.flags | MSG_DONTWAIT | MSG_NOSIGNAL); });
    case io_opcode::read: return attempt_read(request);
    case io_opcode::write: return attempt_write(request);
    }
    return -EINVAL;
}

readiness awaited(const io_operation& op) noexcept {
    switch (op.request.opcode) {
    case io_opcode::poll: {
        auto mask = op.request.flags;
        readiness kinds = 0;
        // What a descriptor reports unasked (POLLERR, POLLHUP) and POLLRDHUP come with any kind; readable is the cheapest.
        if ((mask & (POLLIN | POLLRDNORM | POLLRDHUP)) != 0) kinds |= readable;
        if ((mask & (POLLOUT | POLLWRNORM)) != 0) kinds |= writable;
        if ((mask & (POLLPRI | POLLRDBAND)) != 0) kinds |= exceptional;
        return kinds != 0 ? kinds : exceptional;
    }
    case io_opcode::connect: return op.driver_word == connect_refused_for_now ? by_the_clock : writable;
    case io_opcode::send:
    case io_opcode::sendmsg:
    case io_opcode::write: return writable;
    default: return readable;
    }
}

}  // namespace belay::detail
