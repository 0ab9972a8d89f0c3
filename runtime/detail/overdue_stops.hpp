// Scopes that were stopped and have not ended. The watchdog looks at them: one that takes too long ignores its stop.
#pragma once

#include <belay/runtime/detail/held_guards.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>

namespace belay::detail {

/// In the scope, which takes it out of the list when it is destroyed.
struct stopped_scope {
    stopped_scope* previous_stopped = nullptr;  // guarded by the list's lock, as are the next three
    stopped_scope* next_stopped = nullptr;
    bool listed = false;
    bool told = false;
};

class overdue_stops {
public:
    void add(stopped_scope& scope) noexcept {
        own_code mine;
        std::scoped_lock guard(lock_);
        scope.next_stopped = head_;
        if (head_ != nullptr) head_->previous_stopped = &scope;
        head_ = &scope;
        scope.listed = true;
        open_.fetch_add(1, std::memory_order_relaxed);
    }
    /// Waits while visit() looks at it.
    void remove(stopped_scope& scope) noexcept {
        own_code mine;
        std::scoped_lock guard(lock_);
        (scope.previous_stopped != nullptr ? scope.previous_stopped->next_stopped : head_) = scope.next_stopped;
        if (scope.next_stopped != nullptr) scope.next_stopped->previous_stopped = scope.previous_stopped;
        scope.listed = false;
        if (!scope.told) open_.fetch_sub(1, std::memory_order_relaxed);
    }
    /// Some are neither gone nor told of. Relaxed: the watchdog looks again, and add() is followed by a wake-up of it.
    [[nodiscard]] bool any() const noexcept { return open_.load(std::memory_order_relaxed) != 0; }

    /// Tells of one, describe(scope): of the first that is due(scope) and around none that was not told of yet. What lies around it
    /// only waits for it and is told of with it. Under the lock: none of them is destroyed meanwhile. False: there is none.
    template <class Due, class Inside, class Describe>
    bool take(Due due, Inside inside, Describe describe) noexcept {
        std::scoped_lock guard(lock_);
        for (stopped_scope* s = head_; s != nullptr; s = s->next_stopped) {
            if (s->told || !due(*s) || has_one_inside(*s, inside)) continue;
            describe(*s);
            for (stopped_scope* o = head_; o != nullptr; o = o->next_stopped) {
                if (o->told || (o != s && !inside(*s, *o))) continue;
                o->told = true;
                open_.fetch_sub(1, std::memory_order_relaxed);
            }
            return true;
        }
        return false;
    }

private:
    template <class Inside>
    bool has_one_inside(const stopped_scope& outer, Inside inside) const noexcept {
        for (const stopped_scope* i = head_; i != nullptr; i = i->next_stopped)
            if (!i->told && i != &outer && inside(*i, outer)) return true;
        return false;
    }

    std::mutex lock_;
    stopped_scope* head_ = nullptr;
    std::atomic<std::size_t> open_{0};
};

}  // namespace belay::detail
