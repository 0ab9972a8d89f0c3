// In which order tasks take their locks, asynchronous and synchronous ones alike: the seam between the locks and order_graph.
//
// Followed are belay::mutex, belay::sync_mutex and, with belay::guard, those locks of the C library that are never destroyed: that
// lie in a program or a library. (Nothing says when a std::mutex elsewhere is destroyed: what is made there next is another lock.)
// Of a lock that is only tried, or an arm of a select, nobody is kept waiting: it counts as held, not as taken.
#pragma once

#include <belay/runtime/detail/call_place.hpp>
#include <belay/runtime/detail/guarded.hpp>

#include <atomic>
#include <cstdint>
#include <source_location>

namespace belay::detail {

class record;
class runtime_core;

/// Off until a runtime wants it, then on. acquire, pairs with watch_order(): the table is there.
inline constinit std::atomic<bool> order_is_watched{false};
[[nodiscard]] inline bool watches_order() noexcept { return guarded && order_is_watched.load(std::memory_order_acquire); }
/// Throws std::bad_alloc.
void watch_order();

/// What every lock that is followed has.
class order_tag {
public:
    constexpr order_tag() noexcept = default;
    order_tag(const order_tag&) = delete;
    order_tag& operator=(const order_tag&) = delete;
    ~order_tag() {
        if (known()) [[unlikely]]
            forget();
    }
    /// relaxed: by whoever holds the lock, or destroys it.
    [[nodiscard]] bool known() const noexcept { return guarded && node_.load(std::memory_order_relaxed) != 0; }

private:
    friend class order_book;
    void forget() noexcept;
    std::atomic<std::uint32_t> node_{0};  // in the graph; 0: it was of no interest yet
    const record* holder_ = nullptr;  // of an asynchronous lock; the book's
};

// All may be called on any thread, inside a task or not, and are of no effect where memory is exhausted.

/// Where the current task awaits what it awaits now; without a line outside of tasks.
std::source_location await_site() noexcept;

/// Before the calling thread, or its task, takes a lock that it may have to wait for.
void order_taking(order_tag& tag, const void* lock, std::source_location at) noexcept;
/// The same for a lock of the C library. Nothing to do unless order_matters().
void order_taking(const void* lock, const call_place& callers) noexcept;
bool order_matters(const void* lock) noexcept;

/// The current task has locked an asynchronous lock. (held_guards has the synchronous ones.)
void order_locked(order_tag& tag, const void* lock, std::source_location at) noexcept;
/// It is given back, or its guard was moved: then another task may have it, and nobody is said to.
void order_unlocked(order_tag& tag) noexcept;

/// Tells the observer of `core` what was found in its tasks, or by threads that are in none. One load if there is nothing.
void report_orders(runtime_core& core) noexcept;

}  // namespace belay::detail
