// Where the handles of an object are: the search for deadlocks asks it, to see which task could use one.
#pragma once

#include <belay/runtime/detail/guarded.hpp>
#include <belay/runtime/detail/spin_lock.hpp>
#include <belay/runtime/detail/wait_sources.hpp>

#include <cstddef>
#include <mutex>

namespace belay::detail {

/// The base of a handle that its object lists. Copies and moves of the handle tell the list.
class listed_handle {
public:
    listed_handle() noexcept = default;
    listed_handle(const listed_handle&) = delete;
    listed_handle& operator=(const listed_handle&) = delete;

protected:
    ~listed_handle() = default;

private:
    friend class handle_list;
    listed_handle* next_ = nullptr;
    listed_handle* prev_ = nullptr;
};

/// Thread-safe. Its lock is the innermost of all and not the object's: a channel moves messages under its own, and a message may be,
/// or have, a handle of that channel. O(1), but for list_in().
class handle_list {
public:
    void add(listed_handle& h, std::size_t worth = 1) noexcept {
        if constexpr (!guarded) return;
        std::scoped_lock guard(lock_);
        link(h, worth);
    }
    void remove(listed_handle& h, std::size_t worth = 1) noexcept {
        if constexpr (!guarded) return;
        std::scoped_lock guard(lock_);
        unlink(h, worth);
    }
    /// What `from` stood for is at `to` now, which is in no list.
    void move(listed_handle& from, listed_handle& to) noexcept {
        if constexpr (!guarded) return;
        std::scoped_lock guard(lock_);
        unlink(from, 0);
        link(to, 0);
    }
    /// Nobody can be named while some of the handles, which together are worth `expected`, are on their way.
    void list_in(wait_sources& out, std::size_t expected) const {
        std::scoped_lock guard(lock_);
        if (worth_ != expected) return out.outside();
        for (const listed_handle* h = head_; h != nullptr; h = h->next_) out.handle(h);
    }

private:
    void link(listed_handle& h, std::size_t worth) noexcept {
        h.prev_ = nullptr;
        h.next_ = head_;
        if (head_ != nullptr) head_->prev_ = &h;
        head_ = &h;
        worth_ += worth;
    }
    void unlink(listed_handle& h, std::size_t worth) noexcept {
        (h.prev_ != nullptr ? h.prev_->next_ : head_) = h.next_;
        if (h.next_ != nullptr) h.next_->prev_ = h.prev_;
        worth_ -= worth;
    }

    mutable spin_lock lock_;
    listed_handle* head_ = nullptr;
    std::size_t worth_ = 0;
};

}  // namespace belay::detail
