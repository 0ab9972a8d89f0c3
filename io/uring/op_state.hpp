// What a uring_port keeps in io_operation::driver_state and driver_word. Private to io/uring.
#pragma once

#include <belay/runtime/driver.hpp>

namespace belay::detail::uring {

// Bits of driver_state. Written and read under the port's lock, hence relaxed. An operation is started once, so the
// bits begin as 0 and `done` is never cleared.
inline constexpr std::uint8_t cancel_wanted = 1;  // cancel() was called; it is not submitted again
inline constexpr std::uint8_t listed = 2;         // in the inbox or a rescuer's batch: must not be finished
inline constexpr std::uint8_t done = 4;           // the kernel is through with it; `result` is set
inline constexpr std::uint8_t held = 8;           // in held_back_: the kernel does not know it (any more)

// driver_word: what the ring currently does for it.
inline constexpr std::uint64_t runs = 0;
inline constexpr std::uint64_t awaits_readiness = 1;

inline bool has(const io_operation& op, std::uint8_t bits) noexcept {
    return op.driver_state.load(std::memory_order_relaxed) & bits;
}
inline void set(io_operation& op, std::uint8_t bits) noexcept {
    auto state = op.driver_state.load(std::memory_order_relaxed);
    op.driver_state.store(static_cast<std::uint8_t>(state | bits), std::memory_order_relaxed);
}
inline void clear(io_operation& op, std::uint8_t bits) noexcept {
    auto state = op.driver_state.load(std::memory_order_relaxed);
    op.driver_state.store(static_cast<std::uint8_t>(state & ~bits), std::memory_order_relaxed);
}

// user_data is an operation's address or one of these; operations are aligned, so they cannot collide.
inline constexpr std::uint64_t tag_ignored = 0;
inline constexpr std::uint64_t tag_wake = 1;
inline std::uint64_t tag_of(const io_operation& op) noexcept { return reinterpret_cast<std::uintptr_t>(&op); }

}  // namespace belay::detail::uring
