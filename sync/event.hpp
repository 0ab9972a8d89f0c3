// event: something that has happened or not. Many tasks may wait for it; it stays set until it is reset.
//
//     belay::event ready;
//     co_await ready.wait();        // in any number of tasks
//     ready.set();                  // from anywhere
#pragma once

#include <belay/runtime/task.hpp>
#include <belay/sync/detail/waiter_queue.hpp>

#include <atomic>
#include <coroutine>
#include <mutex>

namespace belay {

class event;

class [[nodiscard("belay: write co_await event.wait()")]] event_awaiter final : public detail::waiter,
                                                                                public detail::native_awaitable {
public:
    explicit event_awaiter(event& e) noexcept : event_{&e} {}
    event_awaiter(event_awaiter&& o) noexcept : waiter(std::move(o)), event_{o.event_} {}
    bool await_ready() noexcept {
        auto now = detail::next_pace();
        finished_ = now != detail::pace::stop && try_now();
        return finished_ && now == detail::pace::go;
    }
    template <class P>
    bool await_suspend(std::coroutine_handle<P> awaiting) noexcept {
        static_assert(task_promise<P>, "belay: an event can be awaited only inside a belay::task");
        detail::record& rec = *awaiting.promise().rec;
        if (finished_) {  // set, but the poll's budget is used up
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
    static void await_resume() noexcept {}
    inline void request_stop(detail::stop_walk&) noexcept override;
    [[nodiscard]] const char* what() const noexcept override { return "event.wait"; }

    // ---- as an arm of select() ---------------------------------------------------------------------------------
    inline bool try_now() const noexcept;
    inline detail::admission start_waiting() noexcept;
    inline void withdraw(detail::grant_list&) noexcept;

private:
    event* event_;
    bool finished_ = false;
};

/// Thread-safe. What happened before set() is visible to whoever has waited for it. It must outlive its waiters; a waiter that has
/// been resumed may destroy it, even while set() has not returned.
class event {
public:
    event() = default;
    event(const event&) = delete;
    event& operator=(const event&) = delete;

    /// Awaitable: goes on when the event is set, at once if it is. On stop: has not waited. O(1).
    [[nodiscard]] event_awaiter wait() noexcept BELAY_LIFETIMEBOUND { return event_awaiter{*this}; }
    /// Resumes all who wait now, whatever reset() follows, and lets everybody through until then. Never suspends. Idempotent.
    /// O(waiters).
    void set() noexcept {
        detail::waiter_chain<detail::waiter> wake;
        {
            std::scoped_lock guard(lock_);
            // release, pairs with is_set().
            set_.store(true, std::memory_order_release);
            while (detail::waiter* w = waiters_.pop())
                if (w->claim()) wake.push(*w);
        }
        while (detail::waiter* w = wake.pop()) w->grant();  // from here on the event may be gone
    }
    /// Who waits after this waits for the next set().
    void reset() noexcept {
        std::scoped_lock guard(lock_);
        set_.store(false, std::memory_order_relaxed);
    }
    /// acquire, pairs with set().
    [[nodiscard]] bool is_set() const noexcept { return set_.load(std::memory_order_acquire); }

private:
    friend event_awaiter;
    std::atomic<bool> set_{false};  // changed under lock_
    detail::spin_lock lock_;
    detail::waiter_queue<detail::waiter> waiters_;
};

bool event_awaiter::try_now() const noexcept {
    if (!event_->is_set()) return false;
    // Behind a set() that is still in there: whoever has waited may destroy the event.
    std::scoped_lock guard(event_->lock_);
    return event_->set_.load(std::memory_order_relaxed);
}

detail::admission event_awaiter::start_waiting() noexcept {
    std::scoped_lock guard(event_->lock_);
    if (stopped_early()) return detail::admission::stopped;
    if (event_->set_.load(std::memory_order_relaxed)) return claim() ? detail::admission::done : detail::admission::stopped;
    event_->waiters_.push(*this);
    return detail::admission::waiting;
}

void event_awaiter::withdraw(detail::grant_list&) noexcept {
    std::scoped_lock guard(event_->lock_);
    event_->waiters_.unlink(*this);
}

void event_awaiter::request_stop(detail::stop_walk&) noexcept {
    bool mine = false;
    {
        std::scoped_lock guard(event_->lock_);
        mine = take_back(event_->waiters_);
    }
    if (mine) give_up();
}

}  // namespace belay
