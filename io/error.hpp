// The errors of belay::io that are not the system's.
//
//     try {
//         co_await peer.read_exact(header);
//     } catch (const std::system_error& error) {
//         if (error.code() != io::errc::end_of_stream) throw;   // the peer left between two messages
//     }
#pragma once

#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>

namespace belay::io {

/// What only this library can know. What the kernel says keeps its errno, in std::system_category().
enum class errc {
    end_of_stream = 1,  ///< the peer closed before all that was asked for had come
};

/// "belay.io", the category of io::errc.
[[nodiscard]] const std::error_category& error_category() noexcept;
/// "getaddrinfo", the category of name resolution: the values are EAI_*, the texts gai_strerror's.
[[nodiscard]] const std::error_category& resolver_category() noexcept;

[[nodiscard]] inline std::error_code make_error_code(errc code) noexcept { return {static_cast<int>(code), error_category()}; }

namespace detail {
/// Throws std::system_error for an errno; `what` says which operation failed, on what, and what helps.
[[noreturn]] void throw_errno(int error, const std::string& what);
/// "tcp read from 127.0.0.1:80": `action`, and the connection's other end or, if it is unknown by now, our own.
[[nodiscard]] std::string describe_socket(std::string_view action, int fd);
}  // namespace detail

}  // namespace belay::io

template <>
struct std::is_error_code_enum<belay::io::errc> : std::true_type {};
