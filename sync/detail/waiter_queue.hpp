// The suspended side of a synchronisation object: a first-come-first-served queue of operations, guarded by the object's
// spin lock, and the protocol by which a stop takes one out again.
#pragma once

#include <belay/runtime/detail/selection.hpp>
#include <belay/runtime/detail/spin_lock.hpp>

namespace belay::detail {

/// An operation that waits in some object's queue. Its fields are guarded by that object's lock; whoever unlinks it asks for its
/// claim(). If it gets that, the waiter belongs to it, and is completed after the lock is released.
class waiter : public claimable {
public:
    waiter() = default;
    waiter(waiter&& other) noexcept : claimable(std::move(other)) {}
    [[nodiscard]] bool linked() const noexcept { return linked_; }
    /// A stop came between publication and start: do not link it. Under the object's lock.
    [[nodiscard]] bool stopped_early() const noexcept { return stopped_early_; }
    void give_up() noexcept { complete(outcome::stopped); }

protected:
    ~waiter() = default;
    /// Under the lock, from request_stop(): true when it was waiting and is unlinked now; the caller then gives it up after
    /// unlocking. False: not started yet (it will not be linked), or its completion is under way.
    template <class Queue>
    bool take_back(Queue& queue) noexcept {
        if (!linked_) {
            stopped_early_ = true;
            return false;
        }
        queue.remove(*this);
        return true;
    }

    /// For operations that wait in a single place instead of a queue. Under the lock.
    void note_early_stop() noexcept { stopped_early_ = true; }

private:
    template <class>
    friend class waiter_queue;
    template <class>
    friend class waiter_chain;
    bool linked_ = false;  // first, beside the base's last byte: one store sets all three
    bool stopped_early_ = false;
    waiter* next_;  // both are set by push(); an operation that need not wait should not pay for them
    waiter* prev_;
};

/// Not thread-safe: the object's lock guards it. O(1) everywhere.
template <class W>
class waiter_queue {
public:
    [[nodiscard]] bool empty() const noexcept { return head_ == nullptr; }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    void push(waiter& w) noexcept {
        w.prev_ = tail_;
        w.next_ = nullptr;
        (tail_ != nullptr ? tail_->next_ : head_) = &w;
        tail_ = &w;
        w.linked_ = true;
        ++size_;
    }
    [[nodiscard]] W* front() const noexcept { return static_cast<W*>(head_); }
    W* pop() noexcept {
        W* first = front();
        if (first != nullptr) remove(*first);
        return first;
    }
    /// Takes back what may have been taken out already.
    void unlink(waiter& w) noexcept {
        if (w.linked_) remove(w);
    }
    void remove(waiter& w) noexcept {
        (w.prev_ != nullptr ? w.prev_->next_ : head_) = w.next_;
        (w.next_ != nullptr ? w.next_->prev_ : tail_) = w.prev_;
        w.linked_ = false;
        --size_;
    }

private:
    waiter* head_ = nullptr;
    waiter* tail_ = nullptr;
    std::size_t size_ = 0;
};

/// Waiters that were unlinked and are to be completed once the lock is released. They do not count as linked: a stop that
/// arrives meanwhile finds their completion under way and leaves them alone.
template <class W>
class waiter_chain {
public:
    void push(waiter& w) noexcept {
        w.next_ = nullptr;
        (tail_ != nullptr ? tail_->next_ : head_) = &w;
        tail_ = &w;
    }
    W* pop() noexcept {
        waiter* first = head_;
        if (first != nullptr) head_ = first->next_;
        return static_cast<W*>(first);
    }

private:
    waiter* head_ = nullptr;
    waiter* tail_ = nullptr;
};

}  // namespace belay::detail
