// The word of a lock whose waiters queue up behind a spin lock: of mutex and strand. Taking it when it is free and giving it back when
// nobody waits is one CAS each.
#pragma once

#include <atomic>
#include <cstdint>

namespace belay::detail {

/// Three states: free, held, and held with perhaps somebody in the queue. The changes from and to the third happen under the queue's
/// lock, so a holder that does not find itself alone finds in the queue whoever has announced himself: he is in it before the lock is
/// released. (Franke, Russell and Kirkwood's futex word, OLS 2002, with a queue of our own in place of the kernel's.)
class lock_word {
public:
    bool try_acquire() noexcept {
        auto expected = state::free;
        // acquire, pairs with the releases below: what holders did before happened before.
        return state_.compare_exchange_strong(expected, state::held, std::memory_order_acquire, std::memory_order_relaxed);
    }
    /// By the holder: gives it back, unless somebody may wait.
    bool release_if_alone() noexcept {
        auto expected = state::held;
        // release, pairs with the acquiring ones.
        return state_.compare_exchange_strong(expected, state::free, std::memory_order_release, std::memory_order_relaxed);
    }

    // ---- under the queue's lock --------------------------------------------------------------------------------
    /// True: acquired. False: the holder will come to the queue.
    bool acquire_or_announce() noexcept {
        auto seen = state_.load(std::memory_order_relaxed);
        for (;;) {
            auto wanted = seen == state::free ? state::held : state::contended;
            // acquire as in try_acquire().
            if (state_.compare_exchange_weak(seen, wanted, std::memory_order_acquire, std::memory_order_relaxed))
                return seen == state::free;
        }
    }
    /// By the holder: nobody is left in the queue.
    void release() noexcept { state_.store(state::free, std::memory_order_release); }  // pairs with try_acquire()
    /// By the holder, who has taken the last one out of the queue and hands it over to him.
    void hand_over_to_last() noexcept { state_.store(state::held, std::memory_order_release); }  // pairs with those after him

    /// Only whoever can know that nobody uses it.
    [[nodiscard]] bool is_free() const noexcept { return state_.load(std::memory_order_relaxed) == state::free; }

private:
    enum class state : std::uint8_t { free, held, contended };
    std::atomic<state> state_{state::free};
};

}  // namespace belay::detail
