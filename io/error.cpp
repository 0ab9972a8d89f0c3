#include <belay/io/endpoint.hpp>
#include <belay/io/error.hpp>

#include <netdb.h>
#include <sys/socket.h>

namespace belay::io {
namespace {

class io_category final : public std::error_category {
public:
    [[nodiscard]] const char* name() const noexcept override { return "belay.io"; }
    [[nodiscard]] std::string message(int value) const override {
        if (value == static_cast<int>(errc::end_of_stream)) return "end of stream: the peer closed the connection early";
        return "unknown error";
    }
};

class gai_category final : public std::error_category {
public:
    [[nodiscard]] const char* name() const noexcept override { return "getaddrinfo"; }
    [[nodiscard]] std::string message(int value) const override { return ::gai_strerror(value); }
};

}  // namespace

const std::error_category& error_category() noexcept {
    static const io_category category;
    return category;
}

const std::error_category& resolver_category() noexcept {
    static const gai_category category;
    return category;
}

namespace detail {

void throw_errno(int error, const std::string& what) { throw std::system_error{error, std::system_category(), "belay: " + what}; }

std::string describe_socket(std::string_view action, int fd) {
    std::string text{action};
    endpoint end;
    if (end.assign_peer_of(fd)) return text + " (peer " + end.to_string() + ")";
    // After a reset the kernel has forgotten the peer.
    if (end.assign_local_of(fd)) return text + " (local " + end.to_string() + ")";
    return text;
}

}  // namespace detail
}  // namespace belay::io
