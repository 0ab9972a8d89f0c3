// sync_mutex and sync_guarded: short critical sections without co_await inside.
//
//     belay::sync_guarded<counters> shared;
//     shared.with([](counters& c) { ++c.hits; });               // no co_await can get inside: the function is no coroutine
//
// A sync_mutex that is held when its task suspends is reported by the guardrail "lock": the lock site and the suspension.
#pragma once

#include <belay/runtime/detail/held_guards.hpp>
#include <belay/runtime/detail/lock_order.hpp>

#include <mutex>
#include <source_location>
#include <type_traits>
#include <utility>

namespace belay {

template <class T>
inline constexpr bool is_coroutine_result = requires { typename T::promise_type; };

/// A std::mutex that knows where it was locked. Meets Lockable, but take it through sync_lock: that records the caller's
/// line. Blocks the thread: hold it for a few instructions. Its owner must be the thread that locked it.
class sync_mutex {
public:
    sync_mutex() = default;
    sync_mutex(const sync_mutex&) = delete;
    sync_mutex& operator=(const sync_mutex&) = delete;

    void lock(std::source_location at = std::source_location::current()) {
        if (detail::watches_order()) [[unlikely]] {
            lock_in_order(at);
        } else {
            mutex_.lock();
        }
        detail::this_thread_guards().add(this, at, order_);
    }
    [[nodiscard]] bool try_lock(std::source_location at = std::source_location::current()) {
        if (!mutex_.try_lock()) return false;
        detail::this_thread_guards().add(this, at, order_);
        return true;
    }
    void unlock() {
        detail::this_thread_guards().remove(this);
        mutex_.unlock();
    }

private:
    [[gnu::noinline]] void lock_in_order(std::source_location at) {
        detail::order_taking(order_, this, at);
        detail::held_guards& here = detail::this_thread_guards();
        here.taking = this;  // belay::guard sees the mutex inside, which has this address
        mutex_.lock();
        here.taking = nullptr;
    }

    std::mutex mutex_;
    detail::order_tag order_;
};

/// Holds a sync_mutex for a block. Neither copied nor moved.
class [[nodiscard]] sync_lock {
public:
    explicit sync_lock(sync_mutex& m, std::source_location at = std::source_location::current()) : mutex_{m} { m.lock(at); }
    sync_lock(const sync_lock&) = delete;
    sync_lock& operator=(const sync_lock&) = delete;
    ~sync_lock() { mutex_.unlock(); }

private:
    sync_mutex& mutex_;
};

/// A value that can only be reached under its lock, by a plain function.
template <class T>
class sync_guarded {
public:
    sync_guarded() = default;
    template <class... Args>
        requires std::is_constructible_v<T, Args...>
    explicit sync_guarded(std::in_place_t, Args&&... args) : value_(std::forward<Args>(args)...) {}
    explicit sync_guarded(T value) : value_(std::move(value)) {}

    /// Calls f(value) under the lock and returns what it returns, by value. Blocks the thread while another one is inside.
    template <class F>
    auto with(F&& f, std::source_location at = std::source_location::current()) {
        using result = std::invoke_result_t<F, T&>;
        static_assert(!is_coroutine_result<std::remove_cvref_t<result>>,
                      "belay: sync_guarded::with takes a plain function: a coroutine would keep the lock across a "
                      "suspension. Use belay::mutex, or copy what you need out of the lock");
        static_assert(!std::is_reference_v<result>,
                      "belay: sync_guarded::with returns by value: a reference would escape the lock");
        sync_lock guard(mutex_, at);
        return std::forward<F>(f)(value_);
    }

private:
    sync_mutex mutex_;
    T value_{};
};

}  // namespace belay
