#include <belay/io/detail/socket_calls.hpp>
#include <belay/io/error.hpp>
#include <belay/io/resolve.hpp>
#include <belay/io/tcp_stream.hpp>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <exception>
#include <optional>
#include <stdexcept>
#include <vector>

namespace belay::io {
namespace {

/// connect(2). Returns 0 or -errno.
class connect_awaiter final : public detail::io_awaiter {
public:
    connect_awaiter(int fd, const endpoint& peer) noexcept {
        request.opcode = io_opcode::connect;
        request.fd = fd;
        request.address = const_cast<sockaddr*>(peer.data());  // one field for accept and connect; connect only reads it
        request.connect_length = peer.size();
    }
    int await_resume() const noexcept { return result; }
    [[nodiscard]] const char* what() const noexcept override { return "tcp.connect"; }
};

descriptor open_socket(const endpoint& peer) {
    descriptor opened{detail::socket_calls::socket(peer.data()->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    if (!opened.is_open()) detail::throw_errno(errno, "tcp_stream: connect to " + peer.to_string() + ": no socket");
    return opened;
}

int socket_error(int fd) noexcept {
    int error = 0;
    return detail::socket_calls::get_option(fd, SOL_SOCKET, SO_ERROR, error) == 0 ? error : errno;
}

/// "name:service" in two; nothing when the text is an endpoint by itself or cannot be either.
std::optional<std::pair<std::string, std::string>> split_name(std::string_view text) {
    if (text.starts_with('[') || text.starts_with("unix:")) return std::nullopt;
    const auto colon = text.find(':');
    if (colon == text.npos || colon == 0 || colon + 1 == text.size() || text.find(':', colon + 1) != text.npos)
        return std::nullopt;
    return std::pair{std::string{text.substr(0, colon)}, std::string{text.substr(colon + 1)}};
}

}  // namespace

task<tcp_stream> tcp_stream::connect(endpoint peer) {
    descriptor socket = open_socket(peer);
    int result = co_await connect_awaiter{socket.native_handle(), peer};
    if (result == -EINTR || result == -EINPROGRESS) {
        // An interrupted connect goes on by itself; asking again would say EALREADY.
        const int events = co_await detail::poll_awaiter{socket.native_handle(), POLLOUT};
        result = events < 0 ? events : -socket_error(socket.native_handle());
    }
    if (result < 0) detail::throw_errno(-result, "tcp_stream: connect to " + peer.to_string());
    tcp_stream connected{std::move(socket)};
    if (!peer.is_unix()) connected.set_no_delay(toggle::on);
    co_return connected;
}

task<tcp_stream> tcp_stream::connect(std::string peer) {
    const auto name = split_name(peer);
    if (!name) co_return co_await connect(endpoint::parse(peer));
    std::exception_ptr last;
    for (const endpoint& candidate : co_await resolve(name->first, name->second)) {
        try {
            co_return co_await connect(candidate);
        } catch (const std::system_error&) {
            last = std::current_exception();
        }
    }
    std::rethrow_exception(last);
}

}  // namespace belay::io
