// The fallback driver: Boost.Asio's epoll reactor, used where the kernel refuses io_uring (Docker's default seccomp
// profile, gVisor, Linux before 6.1). The same operations and the same stop semantics as the io_uring driver.
#pragma once

#include <belay/runtime/driver.hpp>

#include <memory>
#include <string>

namespace belay::detail {

/// `reason` is what driver::reason() answers. Throws std::system_error when not even an epoll descriptor can be had.
std::unique_ptr<driver> make_asio_driver(const driver_options& options, std::string reason = {});

}  // namespace belay::detail
