// mutex: an asynchronous lock. Its guard may be held across co_await.
//
//     belay::mutex state_mutex;
//     auto guard = co_await state_mutex.lock();
#pragma once

#include <belay/runtime/detail/lock_order.hpp>
#include <belay/runtime/detail/lock_word.hpp>
#include <belay/runtime/detail/wait_sources.hpp>
#include <belay/runtime/task.hpp>
#include <belay/sync/detail/waiter_queue.hpp>

#include <atomic>
#include <coroutine>
#include <mutex>
#include <source_location>
#include <utility>

namespace belay {

class mutex;

/// Holds the mutex until it is destroyed. Move-only; may be moved to another task.
class [[nodiscard]] mutex_guard {
public:
    mutex_guard() = default;
    mutex_guard(mutex_guard&& other) noexcept : mutex_{std::exchange(other.mutex_, nullptr)} { has_moved(); }
    mutex_guard& operator=(mutex_guard&& other) noexcept {
        std::swap(mutex_, other.mutex_);
        has_moved();
        other.has_moved();
        return *this;
    }
    ~mutex_guard() { unlock(); }
    /// Early, once; later calls do nothing.
    inline void unlock() noexcept;
    [[nodiscard]] bool owns_lock() const noexcept { return mutex_ != nullptr; }

private:
    friend class mutex;
    friend class mutex_awaiter;
    explicit mutex_guard(mutex& m) noexcept : mutex_{&m} { is_here(); }
    inline void is_here() const noexcept;
    inline void has_moved() const noexcept;
    mutex* mutex_ = nullptr;
};

class [[nodiscard("belay: write auto guard = co_await mutex.lock()")]] mutex_awaiter final : public detail::waiter,
                                                                                             public detail::native_awaitable {
public:
    explicit mutex_awaiter(mutex& m) noexcept : mutex_{&m} {}
    mutex_awaiter(mutex_awaiter&& o) noexcept : waiter(std::move(o)), mutex_{o.mutex_} {}
    inline bool await_ready() noexcept;
    template <class P>
    bool await_suspend(std::coroutine_handle<P> awaiting) noexcept {
        static_assert(task_promise<P>,
                      "belay: a belay::mutex can be awaited only inside a belay::task; "
                      "in other code use belay::sync_mutex");
        detail::record& rec = *awaiting.promise().rec;
        if (finished_) {
            detail::schedule_fair(rec);
            return true;
        }
        if (!suspend_on(rec)) return true;
        switch (start_waiting()) {
        case detail::admission::waiting: return true;
        case detail::admission::done: return !complete_inline();
        case detail::admission::stopped: give_up(); return true;
        }
        return true;
    }
    inline mutex_guard await_resume() noexcept;

    // ---- as an arm of select() ---------------------------------------------------------------------------------
    inline bool try_now() noexcept;
    inline detail::admission start_waiting() noexcept;
    inline void withdraw(detail::grant_list&) noexcept;

    inline void request_stop(detail::stop_walk&) noexcept override;
    [[nodiscard]] const char* what() const noexcept override { return "mutex.lock"; }
    inline void waits_for(detail::wait_sources& out) override;

private:
    friend class mutex;
    mutex* mutex_;
    bool finished_ = false;
};

/// First come, first served: unlock() hands over to the longest waiter, who runs through the scheduler (no recursion).
/// Thread-safe. On stop: a waiter leaves the queue and has not locked. It must outlive its guards and waiters.
class mutex {
public:
    mutex() = default;
    mutex(const mutex&) = delete;
    mutex& operator=(const mutex&) = delete;

    /// Awaitable: a guard.
    [[nodiscard]] mutex_awaiter lock() noexcept BELAY_LIFETIMEBOUND { return mutex_awaiter{*this}; }
    /// Never suspends; empty when it is locked.
    [[nodiscard]] mutex_guard try_lock(std::source_location at = std::source_location::current()) noexcept BELAY_LIFETIMEBOUND {
        if (!try_acquire()) return {};
        if (detail::watches_order()) [[unlikely]]
            detail::order_locked(order_, this, at);
        return mutex_guard{*this};
    }

private:
    friend class mutex_guard;
    friend class mutex_awaiter;
    bool try_acquire() noexcept { return word_.try_acquire(); }
    void release() noexcept {
        if (!word_.release_if_alone()) hand_over();
    }
    /// Not inlined: it would keep the compiler from inlining release().
    [[gnu::noinline]] void hand_over() noexcept {
        detail::waiter* next = nullptr;
        {
            std::scoped_lock guard(lock_);
            do next = waiters_.pop();
            while (next != nullptr && !next->claim());
            // Still held, by the next one; or everybody gave up.
            if (next == nullptr) {
                word_.release();
            } else if (waiters_.empty()) {
                word_.hand_over_to_last();
            }
        }
        if (next != nullptr) next->grant();
    }

    detail::lock_word word_;
    std::atomic<const mutex_guard*> holder_{nullptr};  // for the search for deadlocks; null while it is handed over
    detail::spin_lock lock_;  // guards the queue, and some of the word's changes: see there
    detail::waiter_queue<detail::waiter> waiters_;
    detail::order_tag order_;
};

void mutex_guard::unlock() noexcept {
    mutex* m = std::exchange(mutex_, nullptr);
    if (m == nullptr) return;
    if constexpr (detail::guarded)
        m->holder_.store(nullptr, std::memory_order_relaxed);  // published by release(), as below by whatever hands the guard on
    if (m->order_.known()) [[unlikely]]
        detail::order_unlocked(m->order_);
    m->release();
}

void mutex_guard::is_here() const noexcept {
    if (detail::guarded && mutex_ != nullptr) mutex_->holder_.store(this, std::memory_order_relaxed);
}

void mutex_guard::has_moved() const noexcept {
    is_here();
    if (mutex_ != nullptr && mutex_->order_.known()) [[unlikely]]
        detail::order_unlocked(mutex_->order_);
}

mutex_guard mutex_awaiter::await_resume() noexcept {
    if (detail::watches_order()) [[unlikely]]
        detail::order_locked(mutex_->order_, mutex_, detail::await_site());
    return mutex_guard{*mutex_};
}

void mutex_awaiter::waits_for(detail::wait_sources& out) {
    std::scoped_lock guard(mutex_->lock_);
    out.handle(linked() ? mutex_->holder_.load(std::memory_order_relaxed) : nullptr);
}

bool mutex_awaiter::try_now() noexcept { return mutex_->try_acquire(); }

bool mutex_awaiter::await_ready() noexcept {
    if (detail::watches_order()) [[unlikely]]
        detail::order_taking(mutex_->order_, mutex_, detail::await_site());
    auto now = detail::next_pace();
    finished_ = now != detail::pace::stop && try_now();
    return finished_ && now == detail::pace::go;
}

detail::admission mutex_awaiter::start_waiting() noexcept {
    std::scoped_lock guard(mutex_->lock_);
    if (stopped_early()) return detail::admission::stopped;
    if (!mutex_->word_.acquire_or_announce()) {
        mutex_->waiters_.push(*this);
        return detail::admission::waiting;
    }
    // Taken first and claimed then, because try_lock() takes it without lock_: a claim could find the mutex gone. Given back
    // when another arm has won meanwhile: nobody waits, since whoever wants to needs lock_ for it.
    if (claim()) return detail::admission::done;
    mutex_->word_.release();
    return detail::admission::stopped;
}

void mutex_awaiter::withdraw(detail::grant_list&) noexcept {
    std::scoped_lock guard(mutex_->lock_);
    mutex_->waiters_.unlink(*this);  // its announcement may stay, as in request_stop()
}

void mutex_awaiter::request_stop(detail::stop_walk&) noexcept {
    bool mine = false;
    {
        std::scoped_lock guard(mutex_->lock_);
        mine = take_back(mutex_->waiters_);
        // The announcement may stay without waiters: release() then finds the queue empty.
    }
    if (mine) give_up();
}

}  // namespace belay
