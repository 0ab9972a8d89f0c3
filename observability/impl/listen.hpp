// Opening a listening TCP socket from a text, with messages that say what to do.
#pragma once

#include <belay/observability/impl/http_server.hpp>

#include <cstdint>
#include <string>
#include <string_view>

namespace belay::detail {

struct listening_socket {
    unique_fd socket;      ///< non-blocking
    std::string address;   ///< "127.0.0.1:9464", with the real port
    std::uint16_t port = 0;
};

/// Throws std::invalid_argument or std::system_error.
listening_socket listen_on(std::string_view address);

}  // namespace belay::detail
