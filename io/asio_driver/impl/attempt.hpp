// One non-blocking try of an operation's system call. Knows nothing of reactors.
#pragma once

#include <belay/runtime/driver.hpp>

#include <cstdint>

namespace belay::detail {

/// What a descriptor can become ready for. A set of bits.
using readiness = std::uint8_t;
inline constexpr readiness readable = 1;
inline constexpr readiness writable = 2;
inline constexpr readiness exceptional = 4;
inline constexpr unsigned readiness_kinds = 3;
/// Nothing announces that another try may succeed (an AF_UNIX backlog that is full): it is repeated by the clock.
inline constexpr readiness by_the_clock = 0;

/// The result that means "not yet": it never reaches an operation.
inline constexpr std::int32_t not_yet = INT32_MIN;

/// Performs the system call without blocking; `not_yet` when it would have blocked. Regular files are read and written
/// in place, since epoll cannot announce them. Called by one thread at a time for an operation.
std::int32_t attempt(io_operation& op) noexcept;

/// What to wait for after `not_yet`.
readiness awaited(const io_operation& op) noexcept;

}  // namespace belay::detail
