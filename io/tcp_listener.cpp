#include <belay/io/detail/bind_remedy.hpp>
#include <belay/io/detail/socket_calls.hpp>
#include <belay/io/error.hpp>
#include <belay/io/tcp_listener.hpp>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <stdexcept>
#include <string>

namespace belay::io {
namespace {

std::string remedy(int error, const endpoint& where) {
    switch (error) {
    case EADDRINUSE:
        if (where.is_unix()) return " (the path exists: remove the file if no other process listens on it)";
        return " (another socket has this port: see `ss -ltnp`, choose another port, or share it with "
               "listen_options::reuse_port)";
    case EACCES:
        if (where.is_unix()) return " (no permission to make a file there)";
        [[fallthrough]];
    default: return detail::bind_remedy(error, where);
    }
}

[[noreturn]] void throw_bind_error(int error, const endpoint& where) {
    detail::throw_errno(error, "tcp_listener: bind to " + where.to_string() + remedy(error, where));
}

void set(int fd, int level, int name, bool value, const endpoint& where) {
    const int number = value ? 1 : 0;
    if (detail::socket_calls::set_option(fd, level, name, number) != 0) throw_bind_error(errno, where);
}

}  // namespace

tcp_listener tcp_listener::bind(const endpoint& where, listen_options options) {
    if (options.backlog < 1)
        throw std::invalid_argument{"belay: listen_options::backlog is " + std::to_string(options.backlog) +
                                    ", but must be at least 1"};

    // Non-blocking, because accept() calls accept4() itself when descriptors run out.
    descriptor socket{detail::socket_calls::socket(where.data()->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    const int fd = socket.native_handle();
    if (fd < 0) throw_bind_error(errno, where);
    if (where.family() == endpoint::kind::ipv6) set(fd, IPPROTO_IPV6, IPV6_V6ONLY, options.v6_only, where);
    if (!where.is_unix()) {
        set(fd, SOL_SOCKET, SO_REUSEADDR, options.reuse_address, where);
        set(fd, SOL_SOCKET, SO_REUSEPORT, options.reuse_port, where);
        set(fd, IPPROTO_TCP, TCP_NODELAY, true, where);  // connections inherit it
    }
    using calls = detail::socket_calls;
    if (calls::bind(fd, where.data(), where.size()) != 0 || calls::listen(fd, options.backlog) != 0)
        throw_bind_error(errno, where);
    return tcp_listener{std::move(socket)};
}

endpoint tcp_listener::local() const {
    endpoint result;
    if (!result.assign_local_of(native_handle())) detail::throw_errno(errno, "tcp_listener: local");
    return result;
}

}  // namespace belay::io
