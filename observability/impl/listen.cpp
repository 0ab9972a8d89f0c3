#include <belay/observability/impl/listen.hpp>

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <charconv>
#include <memory>
#include <stdexcept>
#include <system_error>

namespace belay::detail {
namespace {

[[noreturn]] void refuse(std::string_view address, const char* problem) {
    throw std::invalid_argument("belay: debug endpoint: \"" + std::string{address} + "\" " + problem +
                                "; write host:port, for example \"127.0.0.1:9464\" or \"[::1]:9464\"");
}

const char* remedy_for(int error) noexcept {
    switch (error) {
    case EADDRINUSE: return "another process listens there: choose another port, or 0 for any free one";
    case EACCES: return "ports below 1024 need CAP_NET_BIND_SERVICE: choose a higher port";
    case EADDRNOTAVAIL: return "this machine does not have that address: use 127.0.0.1, or 0.0.0.0 for all";
    case EMFILE:
    case ENFILE: return "no file descriptors are left: raise RLIMIT_NOFILE (ulimit -n)";
    default: return "check the address";
    }
}

[[noreturn]] void fail(std::string_view address, int error) {
    throw std::system_error(error, std::system_category(),
                            "belay: debug endpoint cannot listen on " + std::string{address} + " (" + remedy_for(error) + ")");
}

struct host_and_port {
    std::string host;
    std::uint16_t port = 0;
    bool brackets = false;
};

host_and_port parse(std::string_view address) {
    auto colon = address.rfind(':');
    if (colon == std::string_view::npos || colon == 0) refuse(address, "has no host or no port");
    host_and_port result;
    auto port = address.substr(colon + 1);
    auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), result.port);
    if (error != std::errc{} || end != port.data() + port.size())
        refuse(address, "has a port that is not a number from 0 to 65535");
    auto host = address.substr(0, colon);
    result.brackets = host.starts_with('[') && host.ends_with(']');
    if (result.brackets) host = host.substr(1, host.size() - 2);
    if (!result.brackets && host.find(':') != std::string_view::npos) refuse(address, "has an IPv6 address without brackets");
    result.host = host;
    return result;
}

std::uint16_t real_port(int socket) noexcept {
    sockaddr_storage bound{};
    socklen_t length = sizeof bound;
    if (::getsockname(socket, reinterpret_cast<sockaddr*>(&bound), &length) != 0) return 0;
    return ntohs(bound.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6&>(bound).sin6_port
                                             : reinterpret_cast<const sockaddr_in&>(bound).sin_port);
}

}  // namespace

listening_socket listen_on(std::string_view address) {
    auto where = parse(address);
    addrinfo hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
    addrinfo* found = nullptr;
    if (::getaddrinfo(where.host.c_str(), std::to_string(where.port).c_str(), &hints, &found) != 0)
        refuse(address, "has an unknown host");
    std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner{found, &::freeaddrinfo};

    unique_fd socket{::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    if (socket.get() < 0) fail(address, errno);
    int on = 1;
    ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (::bind(socket.get(), found->ai_addr, found->ai_addrlen) != 0 || ::listen(socket.get(), 64) != 0) fail(address, errno);

    listening_socket result{std::move(socket), {}, 0};
    result.port = real_port(result.socket.get());
    result.address = (where.brackets ? "[" + where.host + "]" : where.host) + ":" + std::to_string(result.port);
    return result;
}

}  // namespace belay::detail
