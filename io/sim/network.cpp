// What a program asks of its sockets at once, as the system calls do.
#include <belay/io/sim/network.hpp>

#include <belay/io/sim/sim_driver.hpp>
#include <belay/runtime/detail/clock.hpp>

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

namespace belay::io::sim {
namespace {

constinit thread_local network* of_this_thread = nullptr;

/// Descriptors of a simulation that has gone must not be taken for those of a later one.
int first_of_next_network() noexcept {
    constexpr int per_network = 1 << 22;
    thread_local int made = 0;
    return first_descriptor + (made++ % 128) * per_network;
}

int fail(int error) noexcept {
    errno = error;
    return -1;
}

/// Of a Unix socket without a path.
endpoint nameless() {
    sockaddr none{};
    none.sa_family = AF_UNIX;
    return endpoint::from_sockaddr(&none, sizeof none.sa_family);
}

}  // namespace

network::network(belay::detail::simulator& s) : sim_{s}, next_fd_{first_of_next_network()} { of_this_thread = this; }

network::~network() {
    if (of_this_thread == this) of_this_thread = nullptr;
}

network* network::current() noexcept { return belay::detail::this_thread_clock() != nullptr ? of_this_thread : nullptr; }

socket* network::find(int fd) noexcept {
    auto at = sockets_.find(fd);
    return at != sockets_.end() ? at->second.get() : nullptr;
}

/// One that its owner has not closed; else errno is EBADF.
socket* network::live(int fd) noexcept {
    socket* s = find(fd);
    if (s != nullptr && !s->closed) return s;
    errno = EBADF;
    return nullptr;
}

socket& network::make() {
    auto made = std::make_unique<socket>();
    made->fd = take_number();
    socket& s = *made;
    sockets_.emplace(s.fd, std::move(made));
    return s;
}

/// Once nobody waits at it any more.
void network::drop(socket& s) {
    if (s.closed && s.idle()) sockets_.erase(s.fd);
}

int network::open(int domain, int type) noexcept {
    const int kind = type & ~(SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (kind != SOCK_STREAM && (kind != SOCK_DGRAM || domain == AF_UNIX)) return fail(EPROTONOSUPPORT);
    if (domain != AF_INET && domain != AF_INET6 && domain != AF_UNIX) return fail(EAFNOSUPPORT);
    socket& made = make();
    made.datagrams = kind == SOCK_DGRAM;
    made.is_v6 = domain == AF_INET6;
    if (made.is_v6) made.local = endpoint::parse("[::]:0");
    if (domain == AF_UNIX) made.local = nameless();
    return made.fd;
}

int network::pair(int ends[2]) noexcept {
    socket& one = make();
    socket& other = make();
    one.is = other.is = socket::state::connected;
    one.peer = other.fd;
    other.peer = one.fd;
    for (endpoint* name : {&one.local, &one.remote, &other.local, &other.remote}) *name = nameless();
    ends[0] = one.fd;
    ends[1] = other.fd;
    return 0;
}

int network::pipe(int ends[2]) noexcept {
    pair(ends);
    socket& out = *find(ends[0]);
    socket& in = *find(ends[1]);
    out.is_pipe = in.is_pipe = true;
    out.write_shut = in.read_shut = true;
    return 0;
}

int network::listen(int fd, int backlog) noexcept {
    socket* s = live(fd);
    if (s == nullptr) return -1;
    if (s->datagrams) return fail(EOPNOTSUPP);
    if (s->dead) return fail(ENETDOWN);
    if (s->is != socket::state::fresh && s->is != socket::state::listening) return fail(EINVAL);
    s->is = socket::state::listening;
    s->backlog = static_cast<std::size_t>(std::max(backlog, 1));
    return 0;
}

int network::accept_now(int fd) noexcept {
    socket* s = live(fd);
    if (s == nullptr) return -1;
    if (s->pending.empty()) return fail(EAGAIN);
    int accepted = s->pending.front();
    s->pending.pop_front();
    return accepted;
}

int network::shutdown(int fd, int how) noexcept {
    socket* s = live(fd);
    if (s == nullptr) return -1;
    if (s->is != socket::state::connected || s->reset || s->dead) return fail(ENOTCONN);
    if (how != SHUT_WR) {
        s->read_shut = true;
        if (socket* other = find(s->peer); s->is_local() && other != nullptr) {
            other->write_shut = true;
            progress(*other);
        }
    }
    if (how != SHUT_RD && !s->write_shut) {
        s->write_shut = true;
        send(*s, {packet::kind::end, {}});
    }
    progress(*s);
    return 0;
}

int network::close(int fd) noexcept {
    if (files.has(fd)) return files.close(fd);
    socket* s = live(fd);
    if (s == nullptr) return -1;
    s->closed = true;
    if (s->dead) {  // nothing that it does is seen by anybody
    } else if (s->is == socket::state::listening) {
        for (int waiting : std::exchange(s->pending, {}))
            if (socket* connection = find(waiting)) {
                send(*connection, {packet::kind::reset, {}});
                connection->closed = true;
                drop(*connection);
            }
    } else if (s->is == socket::state::connected && !s->reset) {
        // As TCP has it: who closes without having read everything resets the connection.
        bool unread = !s->inbox.empty() || s->bytes_arriving != 0;
        if (unread) {
            send(*s, {packet::kind::reset, {}});
        } else if (!s->write_shut) {
            send(*s, {packet::kind::end, {}});
        }
    }
    drop(*s);
    return 0;
}

int network::set_option(int fd, int level, int name, int value) noexcept {
    socket* s = live(fd);
    if (s == nullptr) return -1;
    const int before = std::exchange(s->options[{level, name}], value);
    if (level == SOL_SOCKET && name == SO_KEEPALIVE && before == 0 && value != 0) {
        s->heard_ns = sim_.clock().now_ns;  // it counts from here
        watch(*s);
    }
    return 0;
}

int network::get_option(int fd, int level, int name, int& value) noexcept {
    socket* s = live(fd);
    if (s == nullptr) return -1;
    bool error = level == SOL_SOCKET && name == SO_ERROR;
    value = error ? std::exchange(s->error, 0) : option(*s, level, name);
    return 0;
}

}  // namespace belay::io::sim
