#include <belay/io/detail/bind_remedy.hpp>
#include <belay/io/detail/socket_calls.hpp>
#include <belay/io/error.hpp>
#include <belay/io/udp_socket.hpp>

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <stdexcept>
#include <string>

namespace belay::io {
namespace {

using calls = detail::socket_calls;

std::string remedy(int error, const endpoint& where) {
    if (error != EADDRINUSE) return detail::bind_remedy(error, where);
    return " (another socket has this port: see `ss -lunp`, choose another port, or share it with udp_options::reuse_port)";
}

[[noreturn]] void throw_bind_error(int error, const endpoint& where) {
    detail::throw_errno(error, "udp_socket: bind to " + where.to_string() + remedy(error, where));
}

void set_buffer(int fd, int name, std::size_t bytes, const char* what) {
    const int value = static_cast<int>(std::min<std::size_t>(bytes, INT_MAX));
    if (calls::set_option(fd, SOL_SOCKET, name, value) == 0) return;
    detail::throw_errno(errno, std::string{"udp_socket: "} + what + '(' + std::to_string(value) + ')');
}

}  // namespace

udp_socket udp_socket::bind(const endpoint& where, udp_options options) {
    if (where.is_unix())
        throw std::invalid_argument{"belay: udp_socket::bind: " + where.to_string() +
                                    " is a Unix socket's, and UDP has no paths"};
    descriptor socket{calls::socket(where.data()->sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    const int fd = socket.native_handle();
    if (fd < 0) throw_bind_error(errno, where);
    auto set = [&](int level, int name, bool value) {
        if (calls::set_option(fd, level, name, value ? 1 : 0) != 0) throw_bind_error(errno, where);
    };
    if (where.family() == endpoint::kind::ipv6) set(IPPROTO_IPV6, IPV6_V6ONLY, options.v6_only);
    set(SOL_SOCKET, SO_REUSEPORT, options.reuse_port);
    set(SOL_SOCKET, SO_BROADCAST, options.broadcast);
    if (calls::bind(fd, where.data(), where.size()) != 0) throw_bind_error(errno, where);
    return udp_socket{std::move(socket)};
}

void udp_socket::connect(const endpoint& peer) {
    if (calls::connect(native_handle(), peer.data(), peer.size()) != 0)
        detail::throw_errno(errno, "udp_socket: connect to " + peer.to_string());
}

void udp_socket::set_receive_buffer(std::size_t bytes) { set_buffer(native_handle(), SO_RCVBUF, bytes, "set_receive_buffer"); }
void udp_socket::set_send_buffer(std::size_t bytes) { set_buffer(native_handle(), SO_SNDBUF, bytes, "set_send_buffer"); }

endpoint udp_socket::local() const {
    endpoint result;
    if (!result.assign_local_of(native_handle())) detail::throw_errno(errno, "udp_socket: local");
    return result;
}

void detail::send_datagram_awaiter::throw_error() const {
    std::string text =
        message_.msg_name != nullptr ? "udp_socket: send to " + to_.to_string() : describe_socket("udp_socket: send", request.fd);
    if (result == -EMSGSIZE)
        text += ": a datagram of " + std::to_string(part_.iov_len) + " bytes is too large (at most udp_socket::max_size)";
    throw_errno(-result, text);
}

datagram detail::receive_datagram_awaiter::await_resume() const {
    if (result < 0) throw_errno(-result, describe_socket("udp_socket: receive", request.fd));
    datagram arrived{.size = static_cast<std::size_t>(result), .from = {}, .truncated = (message_.msg_flags & MSG_TRUNC) != 0};
    if (message_.msg_namelen != 0)
        arrived.from = endpoint::from_sockaddr(reinterpret_cast<const sockaddr*>(&from_), message_.msg_namelen);
    return arrived;
}

}  // namespace belay::io
