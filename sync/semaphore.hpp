// semaphore: a number of permits that tasks acquire and give back. Bounds how many do something at once.
//
//     belay::semaphore connections{16};
//     auto permit = co_await connections.acquire();     // given back when it is destroyed
#pragma once

#include <belay/runtime/task.hpp>
#include <belay/sync/detail/handle_list.hpp>
#include <belay/sync/detail/lost_permits.hpp>
#include <belay/sync/detail/waiter_queue.hpp>

#include <coroutine>
#include <cstddef>
#include <mutex>
#include <utility>

namespace belay {

class semaphore;

/// Holds permits until it is destroyed. Move-only; may be moved to another task.
class [[nodiscard]] semaphore_permit : private detail::listed_handle {
public:
    semaphore_permit() noexcept = default;
    inline semaphore_permit(semaphore_permit&& other) noexcept;
    inline semaphore_permit& operator=(semaphore_permit&& other) noexcept;
    ~semaphore_permit() { release(); }
    /// Gives them back early, once; later calls do nothing.
    inline void release() noexcept;
    /// Never gives them back: somebody else will, with semaphore::release(). Returns how many they were.
    inline std::size_t forget() noexcept;
    [[nodiscard]] std::size_t count() const noexcept { return count_; }
    /// False: it was moved from, released or forgotten, or try_acquire() found too few.
    [[nodiscard]] explicit operator bool() const noexcept { return semaphore_ != nullptr; }

private:
    friend class semaphore;
    friend class semaphore_awaiter;
    inline semaphore_permit(semaphore& s, std::size_t count) noexcept;
    inline void take(semaphore_permit& other) noexcept;
    semaphore* semaphore_ = nullptr;
    std::size_t count_ = 0;
};

class [[nodiscard("belay: write auto permit = co_await semaphore.acquire()")]] semaphore_awaiter final
    : public detail::waiter,
      public detail::native_awaitable {
public:
    semaphore_awaiter(semaphore& s, std::size_t count) noexcept : semaphore_{&s}, count_{count} {}
    semaphore_awaiter(semaphore_awaiter&& o) noexcept : waiter(std::move(o)), semaphore_{o.semaphore_}, count_{o.count_} {}
    bool await_ready() noexcept {
        auto now = detail::next_pace();
        finished_ = now != detail::pace::stop && try_now();
        return finished_ && now == detail::pace::go;
    }
    template <class P>
    bool await_suspend(std::coroutine_handle<P> awaiting) noexcept {
        static_assert(task_promise<P>, "belay: a semaphore can be awaited only inside a belay::task");
        detail::record& rec = *awaiting.promise().rec;
        if (finished_) {  // acquired, but the poll's budget is used up
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
    semaphore_permit await_resume() noexcept { return {*semaphore_, count_}; }
    inline void request_stop(detail::stop_walk&) noexcept override;
    [[nodiscard]] const char* what() const noexcept override { return "semaphore.acquire"; }
    inline void waits_for(detail::wait_sources& out) override;

    // ---- as an arm of select() ---------------------------------------------------------------------------------
    inline bool try_now() noexcept;
    inline detail::admission start_waiting() noexcept;
    inline void withdraw(detail::grant_list& served) noexcept;

private:
    friend class semaphore;
    semaphore* semaphore_;
    std::size_t count_;
    bool finished_ = false;
};

/// First come, first served: one that waits for many permits is not overtaken by those that need few. Thread-safe. It must outlive
/// its permits and waiters.
class semaphore {
public:
    explicit semaphore(std::size_t permits) noexcept : available_{permits}, permits_{permits} {}
    semaphore(const semaphore&) = delete;
    semaphore& operator=(const semaphore&) = delete;
    ~semaphore() {
        if (counted_ && available_ != permits_) [[unlikely]]
            detail::lost_permits.fetch_add(permits_ - available_, std::memory_order_relaxed);
    }

    /// Awaitable: a permit for `count`. On stop: leaves the queue and has acquired none. If there will never be so many, it waits
    /// until it is stopped. O(1).
    [[nodiscard]] semaphore_awaiter acquire(std::size_t count = 1) noexcept BELAY_LIFETIMEBOUND { return {*this, count}; }
    /// Never suspends, and does not overtake. Empty when there are too few.
    [[nodiscard]] semaphore_permit try_acquire(std::size_t count = 1) noexcept BELAY_LIFETIMEBOUND {
        return take(count) ? semaphore_permit{*this, count} : semaphore_permit{};
    }
    /// Adds permits, whoever acquired them. Any thread; never suspends. O(waiters that get theirs).
    void release(std::size_t count = 1) noexcept {
        wake_list wake;
        {
            std::scoped_lock guard(lock_);
            counted_ = false;
            available_ += count;
            serve(wake);
        }
        run(wake);
    }
    /// How many may be acquired at this moment.
    [[nodiscard]] std::size_t available() const noexcept {
        std::scoped_lock guard(lock_);
        return available_;
    }

private:
    friend semaphore_awaiter;
    friend semaphore_permit;
    using wake_list = detail::waiter_chain<semaphore_awaiter>;

    bool take(std::size_t count) noexcept {
        std::scoped_lock guard(lock_);
        if (available_ < count || !waiters_.empty()) return false;
        available_ -= count;
        return true;
    }
    /// Under the lock, after permits were added or a waiter has left. Invariant: the first waiter needs more than there are. (One
    /// whose select was won by another arm may hold up those behind it until it is withdrawn, which comes here.)
    void serve(wake_list& wake) noexcept {
        for (semaphore_awaiter* w = waiters_.front(); w != nullptr && w->count_ <= available_; w = waiters_.front()) {
            waiters_.remove(*w);
            if (!w->claim()) continue;
            available_ -= w->count_;
            wake.push(*w);
        }
    }
    void take_back(std::size_t count) noexcept {
        wake_list wake;
        {
            std::scoped_lock guard(lock_);
            available_ += count;
            serve(wake);
        }
        run(wake);
    }
    static void run(wake_list& wake) noexcept {
        while (semaphore_awaiter* w = wake.pop()) w->grant();
    }

    mutable detail::spin_lock lock_;
    std::size_t available_;
    detail::waiter_queue<semaphore_awaiter> waiters_;
    // For the search for deadlocks: where the permits are.
    detail::handle_list listed_;
    const std::size_t permits_;
    bool counted_ = true;  // until somebody adds permits, or takes some for good: then nobody knows who else will
};

semaphore_permit::semaphore_permit(semaphore& s, std::size_t count) noexcept : semaphore_{&s}, count_{count} {
    s.listed_.add(*this, count);
}

semaphore_permit::semaphore_permit(semaphore_permit&& other) noexcept { take(other); }

semaphore_permit& semaphore_permit::operator=(semaphore_permit&& other) noexcept {
    semaphore_permit before{std::move(*this)};  // each of the two may be in a list, or in none
    take(other);
    other.take(before);
    return *this;
}

void semaphore_permit::take(semaphore_permit& other) noexcept {
    semaphore_ = std::exchange(other.semaphore_, nullptr);
    count_ = std::exchange(other.count_, 0);
    if (semaphore_ != nullptr) semaphore_->listed_.move(other, *this);
}

void semaphore_permit::release() noexcept {
    semaphore* s = std::exchange(semaphore_, nullptr);
    if (s == nullptr) return;
    s->listed_.remove(*this, count_);
    s->take_back(std::exchange(count_, 0));
}

std::size_t semaphore_permit::forget() noexcept {
    if (semaphore* s = std::exchange(semaphore_, nullptr)) {
        s->listed_.remove(*this, count_);
        std::scoped_lock guard(s->lock_);
        s->counted_ = false;
    }
    return std::exchange(count_, 0);
}

void semaphore_awaiter::waits_for(detail::wait_sources& out) {
    semaphore& s = *semaphore_;
    std::scoped_lock guard(s.lock_);
    if (!linked() || !s.counted_ || count_ > s.permits_) return out.outside();
    // There are enough, so nobody need give one back: it is its turn when the first, who needs more than there are, gives up.
    if (count_ <= s.available_) out.handle(s.waiters_.front());
    s.listed_.list_in(out, s.permits_ - s.available_);
}

bool semaphore_awaiter::try_now() noexcept { return semaphore_->take(count_); }

detail::admission semaphore_awaiter::start_waiting() noexcept {
    std::scoped_lock guard(semaphore_->lock_);
    if (stopped_early()) return detail::admission::stopped;
    if (semaphore_->available_ < count_ || !semaphore_->waiters_.empty()) {
        semaphore_->waiters_.push(*this);
        return detail::admission::waiting;
    }
    if (!claim()) return detail::admission::stopped;
    semaphore_->available_ -= count_;
    return detail::admission::done;
}

void semaphore_awaiter::withdraw(detail::grant_list& served) noexcept {
    semaphore& s = *semaphore_;
    semaphore::wake_list wake;
    {
        std::scoped_lock guard(s.lock_);
        s.waiters_.unlink(*this);
        s.serve(wake);
    }
    while (semaphore_awaiter* w = wake.pop()) w->grant(served);
}

void semaphore_awaiter::request_stop(detail::stop_walk&) noexcept {
    semaphore& s = *semaphore_;
    semaphore::wake_list wake;
    bool mine = false;
    {
        std::scoped_lock guard(s.lock_);
        mine = take_back(s.waiters_);
        if (mine) s.serve(wake);
    }
    semaphore::run(wake);
    if (mine) give_up();
}

}  // namespace belay
