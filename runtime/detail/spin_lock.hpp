#pragma once

#include <sched.h>

#include <atomic>

#include <belay/runtime/detail/arch.hpp>

namespace belay::detail {

// A one-byte lock for critical sections of a few dozen instructions that never suspend, block or allocate.
// Meets the standard's Lockable, so it goes into std::scoped_lock. Not fair, not recursive.
//
//     std::scoped_lock guard(lock);
class spin_lock {
public:
    constexpr spin_lock() noexcept = default;
    spin_lock(const spin_lock&) = delete;
    spin_lock& operator=(const spin_lock&) = delete;

    void lock() noexcept {
        // acquire: pairs with the release in unlock(), so the last holder's writes are seen.
        if (locked_.exchange(true, std::memory_order_acquire)) [[unlikely]]
            lock_contended();
    }

    bool try_lock() noexcept {
        // The relaxed look spares the holder's cache line a write that would fail; it decides nothing by itself.
        // acquire: as in lock().
        return !locked_.load(std::memory_order_relaxed) && !locked_.exchange(true, std::memory_order_acquire);
    }

    // release: pairs with the acquire in lock() and try_lock().
    void unlock() noexcept { locked_.store(false, std::memory_order_release); }

private:
    // A holder needs less time than this many pauses; if it is not done by then, the kernel has most likely
    // preempted it, and spinning on would only keep it from the CPU that it waits for.
    static constexpr int spins_before_yield = 64;

    [[gnu::noinline, gnu::cold]] void lock_contended() noexcept {
        int spins = 0;
        while (!try_lock()) {
            if (++spins < spins_before_yield) {
                cpu_relax();
            } else {
                ::sched_yield();
                spins = 0;
            }
        }
    }

    std::atomic<bool> locked_{false};
};

static_assert(sizeof(spin_lock) == 1);

}  // namespace belay::detail
