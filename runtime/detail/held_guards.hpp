// Which synchronous locks this thread holds. Fed by belay::sync_mutex; read by the worker when a task comes back to it: a
// task that suspends with an entry here holds a lock across co_await.
#pragma once

#include <cstdint>
#include <source_location>

namespace belay::detail {

struct held_guard {
    const void* lock = nullptr;
    std::source_location site;
};

/// One per thread, written by that thread only. When more than `capacity` locks are held the count goes on and the sites
/// of the surplus are not known; nothing fails.
struct held_guards {
    static constexpr std::uint32_t capacity = 16;
    std::uint32_t count = 0;  // locks held
    std::uint32_t known = 0;  // of them, those with an entry
    held_guard entries[capacity];

    void add(const void* lock, std::source_location site) noexcept {
        if (known < capacity) entries[known++] = {lock, site};
        ++count;
    }
    void remove(const void* lock) noexcept {
        for (std::uint32_t i = known; i-- > 0;) {
            if (entries[i].lock != lock) continue;
            for (std::uint32_t j = i + 1; j < known; ++j) entries[j - 1] = entries[j];
            --known;
            --count;
            return;
        }
        if (count > known) --count;  // one of those without an entry; otherwise it was reported and forgotten
    }
    void forget() noexcept { count = known = 0; }
};

/// The calling thread's list. Not inlined: a coroutine must not keep a thread-local address across a suspension.
held_guards& this_thread_guards() noexcept;

}  // namespace belay::detail
