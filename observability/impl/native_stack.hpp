// The native stack of a worker that does not cooperate. Two ways, because a signal is harmless for a thread that computes and
// harmful for one that sleeps: despite SA_RESTART many system calls end early with EINTR when a signal arrives.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace belay::detail {

struct native_stack {
    static constexpr std::size_t max_frames = 48;
    struct entry {
        std::uint64_t address = 0;  ///< inside the function that is to be named
        bool guessed = false;
    };
    std::array<entry, max_frames> frames{};
    std::size_t depth = 0;
    const char* problem = nullptr;  ///< why there is nothing, or null

    void add(std::uint64_t address, bool guessed = false) noexcept {
        if (depth < max_frames) frames[depth++] = {address, guessed};
    }
};

/// A thread that computes: interrupts it with a real-time signal whose handler walks the stack. The handler is installed for
/// the time of the capture only, on a signal that nobody uses, and waits at most `patience`. One capture at a time; others wait.
native_stack interrupt_and_walk(int tid, std::chrono::milliseconds patience) noexcept;

/// A thread that sleeps with this stack pointer and program counter: reads its stack from outside. Never wakes it.
native_stack walk_asleep(std::uint64_t sp, std::uint64_t pc) noexcept;

/// Follows saved frame pointers from `fp`, whose frame is above `sp`. Reads through the kernel: a wild pointer ends the walk
/// and does not crash. Async-signal-safe.
void follow_frame_pointers(native_stack& stack, std::uint64_t sp, std::uint64_t fp) noexcept;

}  // namespace belay::detail
