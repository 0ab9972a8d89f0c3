// Says in words why io_uring cannot be had here, and what to do about it. Private to io.
#pragma once

#include <string>

namespace belay::detail::uring {

/// "EPERM: ... Remedy: ..." for an errno of io_uring_setup or of the probe's round trip.
[[nodiscard]] std::string explain_setup_error(int error);
/// Throws std::system_error with that text.
[[noreturn]] void throw_setup_error(int error);

}  // namespace belay::detail::uring
