#include <belay/io/detail/socket_calls.hpp>
#include <belay/io/sim/network.hpp>
#include <belay/runtime/detail/held_guards.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>

namespace belay::io::detail {
namespace {

using sim::is_simulated;

/// Calls f with the network of this thread. Whoever uses a simulated socket elsewhere, or later, finds that there is none.
template <class F>
int simulated(F&& f) noexcept {
    if (sim::network* net = sim::network::current()) return f(*net);
    errno = EBADF;
    return -1;
}

int give(const std::optional<endpoint>& found, sockaddr* address, socklen_t* length) noexcept {
    if (!found) return -1;
    std::memcpy(address, found->data(), std::min(*length, found->size()));
    *length = found->size();
    return 0;
}

}  // namespace

int socket_calls::socket(int domain, int type, int protocol) noexcept {
    if (sim::network* net = sim::network::current()) [[unlikely]]
        return net->open(domain, type);
    return ::socket(domain, type, protocol);
}

int socket_calls::socketpair(int domain, int type, int protocol, int ends[2]) noexcept {
    if (sim::network* net = sim::network::current()) [[unlikely]]
        return net->pair(ends);
    return ::socketpair(domain, type, protocol, ends);
}

int socket_calls::pipe(int ends[2]) noexcept {
    if (sim::network* net = sim::network::current()) [[unlikely]]
        return net->pipe(ends);
    // Before Linux 6.4 a read or write that waits takes one of the ring's few threads if the pipe may block.
    return ::pipe2(ends, O_CLOEXEC | O_NONBLOCK);
}

int socket_calls::bind(int fd, const sockaddr* address, socklen_t length) noexcept {
    if (!is_simulated(fd)) return ::bind(fd, address, length);
    return simulated([&](sim::network& net) { return net.bind(fd, endpoint::from_sockaddr(address, length)); });
}

int socket_calls::connect(int fd, const sockaddr* address, socklen_t length) noexcept {
    if (!is_simulated(fd)) {
        belay::detail::own_code mine;  // datagrams: it does not wait
        return ::connect(fd, address, length);
    }
    return simulated([&](sim::network& net) { return net.connect_datagrams(fd, endpoint::from_sockaddr(address, length)); });
}

int socket_calls::listen(int fd, int backlog) noexcept {
    if (!is_simulated(fd)) return ::listen(fd, backlog);
    return simulated([&](sim::network& net) { return net.listen(fd, backlog); });
}

int socket_calls::accept4(int fd, int flags) noexcept {
    if (!is_simulated(fd)) {
        belay::detail::own_code mine;  // our listeners do not block
        return ::accept4(fd, nullptr, nullptr, flags);
    }
    return simulated([&](sim::network& net) { return net.accept_now(fd); });
}

int socket_calls::shutdown(int fd, int how) noexcept {
    if (!is_simulated(fd)) return ::shutdown(fd, how);
    return simulated([&](sim::network& net) { return net.shutdown(fd, how); });
}

int socket_calls::close(int fd) noexcept {
    if (!is_simulated(fd)) return ::close(fd);
    return simulated([&](sim::network& net) { return net.close(fd); });
}

int socket_calls::set_option(int fd, int level, int name, int value) noexcept {
    if (!is_simulated(fd)) return ::setsockopt(fd, level, name, &value, sizeof value);
    return simulated([&](sim::network& net) { return net.set_option(fd, level, name, value); });
}

int socket_calls::get_option(int fd, int level, int name, int& value) noexcept {
    socklen_t length = sizeof value;
    if (!is_simulated(fd)) return ::getsockopt(fd, level, name, &value, &length);
    return simulated([&](sim::network& net) { return net.get_option(fd, level, name, value); });
}

int socket_calls::local_address(int fd, sockaddr* address, socklen_t* length) noexcept {
    if (!is_simulated(fd)) return ::getsockname(fd, address, length);
    return simulated([&](sim::network& net) { return give(net.local_of(fd), address, length); });
}

int socket_calls::peer_address(int fd, sockaddr* address, socklen_t* length) noexcept {
    if (!is_simulated(fd)) return ::getpeername(fd, address, length);
    return simulated([&](sim::network& net) { return give(net.peer_of(fd), address, length); });
}

}  // namespace belay::io::detail
