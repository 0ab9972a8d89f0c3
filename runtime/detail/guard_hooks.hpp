// The seam between belay and belay::guard, which stands in front of functions of the C library: a table of functions, because the
// two may be in different modules (a program that links belay statically, and the guard in LD_PRELOAD).
#pragma once

#include <belay/runtime/detail/call_place.hpp>
#include <belay/runtime/detail/lost_cpu.hpp>

#include <atomic>
#include <cstdint>

namespace belay::detail {

inline constexpr std::uint32_t guard_abi = 4;

/// What the calling thread does.
struct task_context {
    const void* stack_top = nullptr;  ///< above the frames of the task that runs; null: the thread is not inside a task
    std::uint64_t poll = 0;  ///< another one for each poll in the process
    bool may_block = false;  ///< inside block_in_place, or inside belay's own code
};

/// A call that could block has returned.
struct guarded_call {
    const char* function = "";
    int fd = -1;
    std::int64_t began_ns = 0;  ///< on CLOCK_MONOTONIC
    std::int64_t ns = 0;
    bool slept = false;  ///< the kernel put the thread to sleep meanwhile
    call_place place;
    lost_cpu lost = {};  ///< of a wait for a lock
};

/// All may be called on any thread, often; none may throw, or be left by anything but return.
struct guard_hooks {
    std::uint32_t abi = guard_abi;
    /// here().stack_top, which is all that a lock asks for.
    const void* (*inside)() noexcept = nullptr;
    task_context (*here)() noexcept = nullptr;
    /// Of a lock that will be waited for if it has to be: whether taking() is of interest, and if so, before the wait.
    bool (*holds_another)(const void* lock) noexcept = nullptr;
    void (*taking)(const void* lock, const call_place& place) noexcept = nullptr;
    void (*locked)(const void* lock, const call_place& place, bool shared) noexcept = nullptr;
    void (*unlocked)(const void* lock) noexcept = nullptr;
    /// Keeps it for when the task comes back to its worker: the call may have been made under, or have returned with, any lock.
    void (*called)(const guarded_call& call) noexcept = nullptr;
    const std::atomic<std::int64_t>* shortest_call_ns = nullptr;  ///< shorter calls are of no interest; 0: all are
};

}  // namespace belay::detail
