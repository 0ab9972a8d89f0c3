// The shared state of a bounded channel.
#pragma once

#include <belay/runtime/task.hpp>
#include <belay/sync/detail/handle_list.hpp>
#include <belay/sync/detail/waiter_queue.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <stdexcept>
#include <utility>

namespace belay {

enum class send_status : std::uint8_t { sent, closed };

namespace detail {

template <class T>
class channel_core;

/// A task that waits for room, to send or to reserve.
template <class T>
class channel_sender_waiter : public waiter {
public:
    explicit channel_sender_waiter(channel_core<T>* c) noexcept : core{c} {}
    channel_sender_waiter(channel_sender_waiter&& o) noexcept : waiter(std::move(o)), core{o.core} {}
    void request_stop(stop_walk&) noexcept final;
    void waits_for(wait_sources& out) final { core->list_for_sender(*this, out); }
    channel_core<T>* core;
    T* value = nullptr;   // to be moved into the ring when there is room; null for reserve()
    bool closed = false;  // the channel closed before there was room

protected:
    ~channel_sender_waiter() = default;
};

/// The task that waits for a message.
template <class T>
class channel_receiver_waiter : public waiter {
public:
    explicit channel_receiver_waiter(channel_core<T>* c) noexcept : core{c} {}
    channel_receiver_waiter(channel_receiver_waiter&& o) noexcept : waiter(std::move(o)), core{o.core} {}
    void request_stop(stop_walk&) noexcept final;
    void waits_for(wait_sources& out) final { core->list_for_receiver(*this, out); }
    channel_core<T>* core;
    std::optional<T> message;

protected:
    ~channel_receiver_waiter() = default;
};

/// A ring of `capacity` slots. `used` counts messages and outstanding permits, so that a permit's send never waits. All
/// decisions are taken under one spin lock; tasks are resumed after it is released. Messages are moved, never copied.
template <class T>
class channel_core {
public:
    explicit channel_core(std::size_t capacity) : capacity_{capacity} {
        if (capacity == 0) throw std::invalid_argument("belay: a channel's capacity must be at least 1");
        slots_ = std::make_unique<slot[]>(capacity);
    }
    channel_core(const channel_core&) = delete;
    channel_core& operator=(const channel_core&) = delete;
    ~channel_core() {
        while (count_ != 0) drop_front();
    }

    using sender_waiter = channel_sender_waiter<T>;
    using receiver_waiter = channel_receiver_waiter<T>;

    enum class attempt : std::uint8_t { done, full, closed };

    /// Moves from `value` only when it returns done.
    attempt try_send(T& value) noexcept {
        receiver_waiter* wake = nullptr;
        {
            std::scoped_lock guard(lock_);
            if (closed_) return attempt::closed;
            // Those who wait for room come first, even when there is some: they have been granted it in their order.
            if (used_ == capacity_ || !senders_.empty()) return attempt::full;
            ++used_;
            wake = deliver(value);
        }
        if (wake != nullptr) wake->grant();
        return attempt::done;
    }
    attempt try_reserve() noexcept {
        std::scoped_lock guard(lock_);
        if (closed_) return attempt::closed;
        if (used_ == capacity_ || !senders_.empty()) return attempt::full;
        take_permit();
        return attempt::done;
    }

    /// For send() and reserve() after their fast path: takes the room, or waits for it.
    admission start_sending(sender_waiter& w) noexcept {
        receiver_waiter* wake = nullptr;
        {
            std::scoped_lock guard(lock_);
            if (w.stopped_early()) return admission::stopped;
            if (!closed_ && (used_ == capacity_ || !senders_.empty())) {
                senders_.push(w);
                return admission::waiting;
            }
            if (!w.claim()) return admission::stopped;
            if (closed_) {
                w.closed = true;
                return admission::done;
            }
            wake = give_room(w);
        }
        if (wake != nullptr) wake->grant();
        return admission::done;
    }

    /// A permit's message: there is room for it by construction. False when the receiver has gone; the value is untouched.
    bool send_reserved(T& value) noexcept {
        wake_list wake;
        {
            std::scoped_lock guard(lock_);
            --permits_;
            if (receiver_gone_) {
                --used_;
                return false;
            }
            wake.receiver = deliver(value);
            if (wake.receiver == nullptr) return true;
            room_came_free(wake);  // the receiver got the message directly
        }
        wake.run();
        return true;
    }
    void return_permit() noexcept {
        wake_list wake;
        {
            std::scoped_lock guard(lock_);
            --permits_;
            --used_;
            room_came_free(wake);
            end_of_stream(wake);
        }
        wake.run();
    }

    /// True: `out` is the next message, or empty for the end of the stream.
    bool try_recv(std::optional<T>& out) noexcept {
        wake_list wake;
        {
            std::scoped_lock guard(lock_);
            if (count_ == 0) return ended();
            take_front(out, wake);
        }
        wake.run();
        return true;
    }
    admission start_receiving(receiver_waiter& w) noexcept {
        wake_list wake;
        {
            std::scoped_lock guard(lock_);
            if (w.stopped_early()) return admission::stopped;
            if (count_ == 0 && !ended()) {
                if (receiver_ != nullptr) refuse_second(w);
                receiver_ = &w;
                return admission::waiting;
            }
            if (!w.claim()) return admission::stopped;
            if (count_ != 0) take_front(w.message, wake);
        }
        wake.run();
        return admission::done;
    }

    void add_sender(listed_handle& handle) noexcept {
        {
            std::scoped_lock guard(lock_);
            ++sender_count_;
        }
        sender_handles.add(handle);
    }
    void drop_sender(listed_handle& handle) noexcept {
        sender_handles.remove(handle);
        wake_list wake;
        {
            std::scoped_lock guard(lock_);
            if (--sender_count_ == 0) close_locked(wake);
        }
        wake.run();
    }
    /// relaxed: read while the task that has it waits, or holds it outside the tasks, where its place says nothing.
    void receiver_is_at(const void* handle) noexcept { receiver_handle_.store(handle, std::memory_order_relaxed); }

    // What could wake a waiter: see operation::waits_for(). One that is not registered any more has been served. A permit is not
    // followed: it may be anywhere.
    void list_for_receiver(const receiver_waiter& w, wait_sources& out) {
        std::scoped_lock guard(lock_);
        if (receiver_ != &w || permits_ != 0) return out.outside();
        list_handles(out);
    }
    void list_for_sender(const sender_waiter& w, wait_sources& out) {
        std::scoped_lock guard(lock_);
        if (!w.linked() || permits_ != 0) return out.outside();
        list_handles(out);
    }

    /// No more messages are accepted; permits that are out may still send; what is in the channel can be received.
    void close() noexcept {
        wake_list wake;
        {
            std::scoped_lock guard(lock_);
            close_locked(wake);
        }
        wake.run();
    }
    /// The receiver has gone: messages are destroyed (outside the lock), senders learn that it is closed.
    void drop_receiver() noexcept {
        wake_list wake;
        {
            std::scoped_lock guard(lock_);
            receiver_gone_ = true;
            close_locked(wake);
        }
        wake.run();
        for (std::optional<T> message; try_recv(message) && message;) message.reset();
    }

    /// Another arm has won: forgets the waiter, wherever it is.
    void withdraw(sender_waiter& w) noexcept {
        std::scoped_lock guard(lock_);
        senders_.unlink(w);
    }
    void withdraw(receiver_waiter& w) noexcept {
        std::scoped_lock guard(lock_);
        (void)unwait(w);
    }

    handle_list sender_handles;
    spin_lock& lock() noexcept { return lock_; }
    waiter_queue<sender_waiter>& senders() noexcept { return senders_; }
    /// Under the lock: takes a waiting receiver back; false when it was not waiting.
    bool unwait(receiver_waiter& w) noexcept {
        if (receiver_ != &w) return false;
        receiver_ = nullptr;
        return true;
    }

    [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }
    [[nodiscard]] std::size_t size() const noexcept {
        std::scoped_lock guard(lock_);
        return count_;
    }
    [[nodiscard]] std::size_t peak() const noexcept {
        std::scoped_lock guard(lock_);
        return peak_;
    }
    [[nodiscard]] bool closed() const noexcept {
        std::scoped_lock guard(lock_);
        return closed_;
    }

private:
    union slot {
        slot() noexcept {}
        ~slot() {}
        T value;
    };
    /// Whom to resume once the lock is released. All of them are claimed.
    struct wake_list {
        receiver_waiter* receiver = nullptr;
        waiter_chain<sender_waiter> senders;
        void run() noexcept {
            if (receiver != nullptr) receiver->grant();
            while (sender_waiter* w = senders.pop()) w->grant();
        }
    };

    // Invariant, whenever the lock is released: senders wait only while there is no room, and a receiver only while there is no
    // message. (A sender or receiver whose select has been won by another arm still counts here until it is taken back.)

    /// Both ends serve, and both may close it.
    void list_handles(wait_sources& out) {
        out.handle(receiver_handle_.load(std::memory_order_relaxed));
        sender_handles.list_in(out, sender_count_);
    }
    [[nodiscard]] bool ended() const noexcept { return closed_ && count_ == 0 && permits_ == 0; }

    [[noreturn]] void refuse_second(const receiver_waiter& w) const noexcept {
        if (receiver_->same_selection(w)) misuse("select() was given recv() of the same receiver twice: give it once");
        misuse("two tasks receive from one channel at once: give each its own channel");
    }
    /// Hands the value to the waiting receiver or puts it into the ring; the room has been counted. Returns whom to wake. If it
    /// returns somebody, room came free.
    receiver_waiter* deliver(T& value) noexcept {
        receiver_waiter* w = std::exchange(receiver_, nullptr);
        if (w != nullptr && w->claim()) {
            w->message.emplace(std::move(value));
            --used_;
            return w;
        }
        std::construct_at(&slots_[(head_ + count_) % capacity_].value, std::move(value));
        if (++count_ > peak_) peak_ = count_;
        return nullptr;
    }
    void take_permit() noexcept {
        ++used_;
        ++permits_;
    }
    /// There is room for `w`.
    receiver_waiter* give_room(sender_waiter& w) noexcept {
        if (w.value == nullptr) {
            take_permit();
            return nullptr;
        }
        ++used_;
        return deliver(*w.value);
    }
    void take_front(std::optional<T>& out, wake_list& wake) noexcept {
        T& front = slots_[head_].value;
        out.emplace(std::move(front));
        std::destroy_at(&front);
        head_ = head_ + 1 == capacity_ ? 0 : head_ + 1;
        --count_;
        --used_;
        room_came_free(wake);
    }
    void drop_front() noexcept {
        std::destroy_at(&slots_[head_].value);
        head_ = (head_ + 1) % capacity_;
        --count_;
    }
    /// More than one sender may fit in: a message that a receiver gets directly gives its room back at once.
    void room_came_free(wake_list& wake) noexcept {
        while (used_ != capacity_ && !senders_.empty()) {
            sender_waiter* next = senders_.pop();
            if (!next->claim()) continue;
            if (receiver_waiter* r = give_room(*next)) wake.receiver = r;
            wake.senders.push(*next);
        }
    }
    void end_of_stream(wake_list& wake) noexcept {
        if (receiver_ == nullptr || !ended()) return;
        receiver_waiter* w = std::exchange(receiver_, nullptr);
        if (w->claim()) wake.receiver = w;
    }
    void close_locked(wake_list& wake) noexcept {
        closed_ = true;
        while (sender_waiter* w = senders_.pop()) {
            if (!w->claim()) continue;
            w->closed = true;
            wake.senders.push(*w);
        }
        end_of_stream(wake);
    }

    const std::size_t capacity_;
    mutable spin_lock lock_;
    bool closed_ = false;
    bool receiver_gone_ = false;
    std::size_t head_ = 0;
    std::size_t count_ = 0;
    std::size_t used_ = 0;  // messages and permits, at most capacity_
    std::size_t permits_ = 0;
    std::size_t peak_ = 0;
    std::size_t sender_count_ = 0;
    std::atomic<const void*> receiver_handle_{nullptr};
    receiver_waiter* receiver_ = nullptr;
    waiter_queue<sender_waiter> senders_;
    std::unique_ptr<slot[]> slots_;
};

template <class T>
void channel_sender_waiter<T>::request_stop(stop_walk&) noexcept {
    bool mine = false;
    {
        std::scoped_lock guard(core->lock());
        mine = this->take_back(core->senders());
    }
    if (mine) this->give_up();
}

template <class T>
void channel_receiver_waiter<T>::request_stop(stop_walk&) noexcept {
    bool mine = false;
    {
        std::scoped_lock guard(core->lock());
        mine = core->unwait(*this);
        if (!mine) this->note_early_stop();
    }
    if (mine) this->give_up();
}

}  // namespace detail
}  // namespace belay
