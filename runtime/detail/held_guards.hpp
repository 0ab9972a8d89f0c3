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
    std::uint32_t count = 0;
    held_guard entries[capacity];

    void add(const void* lock, std::source_location site) noexcept {
        if (count < capacity) entries[count] = {lock, site};
        ++count;
    }
    void remove(const void* lock) noexcept {
        std::uint32_t known = count < capacity ? count : capacity;
        for (std::uint32_t i = known; i-- > 0;) {
            if (entries[i].lock != lock) continue;
            for (std::uint32_t j = i + 1; j < known; ++j) entries[j - 1] = entries[j];
            --count;
            return;
        }
        if (count > capacity) --count;  // it was one of those without an entry
    }
};

/// The calling thread's list. Not inlined: a coroutine must not keep a thread-local address across a suspension.
held_guards& this_thread_guards() noexcept;

}  // namespace belay::detail
