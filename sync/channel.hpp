// channel<T>: a bounded queue from many senders to one receiver.
//
//     auto [tx, rx] = belay::channel<job>(128);
//     s.spawn(produce, tx);                                     // senders are copied; the last one to go closes the channel
//     while (auto next = co_await rx.recv()) work(*next);       // empty: closed and drained
//
// Backpressure: a full channel suspends its sender. First come, first served. Lossless: a stopped send has not sent and the
// value is untouched; a stopped recv has taken nothing.
#pragma once

#include <belay/runtime/task.hpp>
#include <belay/sync/detail/channel_core.hpp>

#include <coroutine>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace belay {

template <class T>
class sender;
template <class T>
class receiver;
namespace detail {
template <class T>
class send_value_arm;
}

/// The right to send one message without waiting. Move-only; dropping it gives the room back.
template <class T>
class [[nodiscard]] permit {
public:
    permit() = default;
    permit(permit&& other) noexcept : core_{std::move(other.core_)} {}
    permit& operator=(permit&& other) noexcept {
        std::swap(core_, other.core_);
        return *this;
    }
    ~permit() {
        if (core_) core_->return_permit();
    }
    /// False: the channel was closed before there was room, or the permit has been used.
    [[nodiscard]] explicit operator bool() const noexcept { return core_ != nullptr; }
    /// Never suspends. Returns closed, with the value destroyed, only when the receiver has gone.
    send_status send(T value) {
        if (!core_) detail::misuse("permit::send() on an empty permit: it was used, moved from, or the channel was closed");
        auto core = std::move(core_);
        return core->send_reserved(value) ? send_status::sent : send_status::closed;
    }

private:
    template <class>
    friend class sender;
    template <class>
    friend class reserve_awaiter;
    explicit permit(std::shared_ptr<detail::channel_core<T>> core) noexcept : core_{std::move(core)} {}
    std::shared_ptr<detail::channel_core<T>> core_;
};

template <class T>
class [[nodiscard("belay: write co_await tx.send(value)")]] send_awaiter final : public detail::channel_sender_waiter<T>,
                                                                                 public detail::native_awaitable {
    using core_type = detail::channel_core<T>;

public:
    send_awaiter(core_type* core, T& value) noexcept : detail::channel_sender_waiter<T>{core} { this->value = &value; }
    send_awaiter(send_awaiter&& o) noexcept : detail::channel_sender_waiter<T>{std::move(o)} { this->value = o.value; }

    bool await_ready() noexcept {
        auto now = detail::next_pace();
        finished_ = now != detail::pace::stop && try_now();
        return finished_ && now == detail::pace::go;
    }
    template <class P>
    bool await_suspend(std::coroutine_handle<P> awaiting) noexcept {
        static_assert(task_promise<P>, "belay: a channel can be awaited only inside a belay::task");
        detail::record& rec = *awaiting.promise().rec;
        if (finished_) {  // done, but the poll's budget is used up
            detail::schedule_fair(rec);
            return true;
        }
        if (!this->suspend_on(rec)) return true;
        switch (this->core->start_sending(*this)) {
        case detail::admission::waiting: return true;
        case detail::admission::done: return !this->complete_inline();
        case detail::admission::stopped: this->give_up(); return true;
        }
        return true;
    }
    send_status await_resume() const noexcept { return this->closed ? send_status::closed : send_status::sent; }
    [[nodiscard]] const char* what() const noexcept override { return "channel.send"; }

    // ---- as an arm of select() ---------------------------------------------------------------------------------
    bool try_now() noexcept {
        auto attempt = this->core->try_send(*this->value);
        if (attempt == core_type::attempt::closed) this->closed = true;
        return attempt != core_type::attempt::full;
    }
    detail::admission start_waiting() noexcept { return this->core->start_sending(*this); }
    void withdraw(detail::grant_list&) noexcept { this->core->withdraw(*this); }

private:
    bool finished_ = false;
};

/// Holds a temporary until it is sent.
template <class T>
class [[nodiscard("belay: write co_await tx.send(value)")]] send_value_op : public detail::native_awaitable {
public:
    using select_arm = detail::send_value_arm<T>;
    send_value_op(detail::channel_core<T>* core, T&& value) : core_{core}, value_{std::move(value)} {}
    send_value_op(send_value_op&&) = default;
    send_awaiter<T> operator co_await() & noexcept { return {core_, value_}; }
    send_awaiter<T> operator co_await() && noexcept { return {core_, value_}; }

private:
    friend select_arm;
    detail::channel_core<T>* core_;
    T value_;
};

namespace detail {

/// send() of a temporary as an arm of select(): the value moves with the arm until the arm is in its place.
template <class T>
class send_value_arm {
public:
    explicit send_value_arm(send_value_op<T>&& op) noexcept : value_{std::move(op.value_)}, send_{op.core_, value_} {}
    send_value_arm(send_value_arm&& o) noexcept : value_{std::move(o.value_)}, send_{o.send_.core, value_} {}
    bool try_now() noexcept { return send_.try_now(); }
    void attach(selection& s, unsigned arm) noexcept { send_.attach(s, arm); }
    admission start_waiting() noexcept { return send_.start_waiting(); }
    void withdraw(grant_list& served) noexcept { send_.withdraw(served); }
    send_status await_resume() const noexcept { return send_.await_resume(); }
    void waits_for(wait_sources& out) { send_.waits_for(out); }

private:
    T value_;
    send_awaiter<T> send_;
};

}  // namespace detail

template <class T>
class [[nodiscard("belay: write co_await tx.reserve()")]] reserve_awaiter final : public detail::channel_sender_waiter<T>,
                                                                                  public detail::native_awaitable {
    using core_type = detail::channel_core<T>;

public:
    explicit reserve_awaiter(std::shared_ptr<core_type> core) noexcept
        : detail::channel_sender_waiter<T>{core.get()}, keep_{std::move(core)} {}
    reserve_awaiter(reserve_awaiter&& o) noexcept : detail::channel_sender_waiter<T>{std::move(o)}, keep_{std::move(o.keep_)} {}

    bool await_ready() noexcept {
        auto now = detail::next_pace();
        finished_ = now != detail::pace::stop && try_now();
        return finished_ && now == detail::pace::go;
    }
    template <class P>
    bool await_suspend(std::coroutine_handle<P> awaiting) noexcept {
        static_assert(task_promise<P>, "belay: a channel can be awaited only inside a belay::task");
        detail::record& rec = *awaiting.promise().rec;
        if (finished_) {
            detail::schedule_fair(rec);
            return true;
        }
        if (!this->suspend_on(rec)) return true;
        switch (this->core->start_sending(*this)) {
        case detail::admission::waiting: return true;
        case detail::admission::done: return !this->complete_inline();
        case detail::admission::stopped: this->give_up(); return true;
        }
        return true;
    }
    permit<T> await_resume() noexcept { return this->closed ? permit<T>{} : permit<T>{std::move(keep_)}; }
    [[nodiscard]] const char* what() const noexcept override { return "channel.reserve"; }

    // ---- as an arm of select() ---------------------------------------------------------------------------------
    bool try_now() noexcept {
        auto attempt = this->core->try_reserve();
        if (attempt == core_type::attempt::closed) this->closed = true;
        return attempt != core_type::attempt::full;
    }
    detail::admission start_waiting() noexcept { return this->core->start_sending(*this); }
    void withdraw(detail::grant_list&) noexcept { this->core->withdraw(*this); }

private:
    std::shared_ptr<core_type> keep_;
    bool finished_ = false;
};

template <class T>
class [[nodiscard("belay: write co_await rx.recv()")]] recv_awaiter final : public detail::channel_receiver_waiter<T>,
                                                                            public detail::native_awaitable {
    using core_type = detail::channel_core<T>;

public:
    explicit recv_awaiter(core_type* core) noexcept : detail::channel_receiver_waiter<T>{core} {}
    recv_awaiter(recv_awaiter&& o) noexcept : detail::channel_receiver_waiter<T>{std::move(o)} {}

    bool await_ready() noexcept {
        auto now = detail::next_pace();
        finished_ = now != detail::pace::stop && try_now();
        return finished_ && now == detail::pace::go;
    }
    template <class P>
    bool await_suspend(std::coroutine_handle<P> awaiting) noexcept {
        static_assert(task_promise<P>, "belay: a channel can be awaited only inside a belay::task");
        detail::record& rec = *awaiting.promise().rec;
        if (finished_) {
            detail::schedule_fair(rec);
            return true;
        }
        if (!this->suspend_on(rec)) return true;
        switch (this->core->start_receiving(*this)) {
        case detail::admission::waiting: return true;
        case detail::admission::done: return !this->complete_inline();
        case detail::admission::stopped: this->give_up(); return true;
        }
        return true;
    }
    std::optional<T> await_resume() noexcept { return std::move(this->message); }
    [[nodiscard]] const char* what() const noexcept override { return "channel.recv"; }

    // ---- as an arm of select() ---------------------------------------------------------------------------------
    bool try_now() noexcept { return this->core->try_recv(this->message); }
    detail::admission start_waiting() noexcept { return this->core->start_receiving(*this); }
    void withdraw(detail::grant_list&) noexcept { this->core->withdraw(*this); }

private:
    bool finished_ = false;
};

/// The sending end. Copyable and thread-safe; the channel closes when the last copy goes. A copy of its own for each task.
template <class T>
class sender : private detail::listed_handle {
public:
    sender(const sender& other) noexcept : listed_handle{}, core_{other.core_} {
        if (core_) core_->add_sender(*this);
    }
    sender(sender&& other) noexcept : core_{std::move(other.core_)} {
        if (core_) core_->sender_handles.move(other, *this);
    }
    sender& operator=(sender other) noexcept {
        // By way of a third one: each of the two may be in a list, or in none.
        sender before{std::move(*this)};
        take(other);
        other.take(before);
        return *this;
    }
    ~sender() {
        if (core_) core_->drop_sender(*this);
    }

    /// Awaitable: suspends while the channel is full. `closed` if the receiver has gone or close() was called; `value` is then
    /// untouched, as it is after a stop. The lvalue must live until the await ends; the rvalue moves into the operation and, if it
    /// is not sent, goes with it.
    [[nodiscard]] send_awaiter<T> send(T& value BELAY_LIFETIMEBOUND) noexcept BELAY_LIFETIMEBOUND { return {core(), value}; }
    [[nodiscard]] send_value_op<T> send(T&& value) BELAY_LIFETIMEBOUND { return {core(), std::move(value)}; }
    /// Awaitable: a place in the channel, so that the message need only be made when there is room for it.
    [[nodiscard]] reserve_awaiter<T> reserve() noexcept { return reserve_awaiter<T>{checked()}; }
    /// Never suspends. False when full or closed: the value is untouched.
    [[nodiscard]] bool try_send(T& value) noexcept { return core()->try_send(value) == detail::channel_core<T>::attempt::done; }
    [[nodiscard]] bool try_send(T&& value) noexcept { return try_send(value); }

    /// For all senders at once: no more messages. Idempotent.
    void close() noexcept { core()->close(); }
    [[nodiscard]] bool closed() const noexcept { return core()->closed(); }
    [[nodiscard]] std::size_t size() const noexcept { return core()->size(); }
    [[nodiscard]] std::size_t capacity() const noexcept { return core()->capacity(); }

private:
    template <class U>
    friend std::pair<sender<U>, receiver<U>> channel(std::size_t);
    explicit sender(std::shared_ptr<detail::channel_core<T>> core) noexcept : core_{std::move(core)} { core_->add_sender(*this); }
    /// When it has none.
    void take(sender& other) noexcept {
        core_ = std::move(other.core_);
        if (core_) core_->sender_handles.move(other, *this);
    }
    const std::shared_ptr<detail::channel_core<T>>& checked() const noexcept {
        if (!core_) detail::misuse("a moved-from channel sender was used");
        return core_;
    }
    detail::channel_core<T>* core() const noexcept { return checked().get(); }
    std::shared_ptr<detail::channel_core<T>> core_;
};

/// The receiving end. Move-only; one task at a time receives. When it goes, senders learn that the channel is closed and
/// what is left in it is destroyed.
template <class T>
class receiver {
public:
    receiver(receiver&& other) noexcept : core_{std::move(other.core_)} { arrive(); }
    receiver& operator=(receiver&& other) noexcept {
        std::swap(core_, other.core_);
        arrive();
        other.arrive();
        return *this;
    }
    ~receiver() {
        if (core_) core_->drop_receiver();
    }

    /// Awaitable: the next message, or empty when the channel is closed, drained, and no permit is outstanding.
    [[nodiscard]] recv_awaiter<T> recv() noexcept BELAY_LIFETIMEBOUND { return recv_awaiter<T>{core()}; }
    /// Never suspends. Empty when there is nothing now, or nothing any more.
    [[nodiscard]] std::optional<T> try_recv() noexcept {
        std::optional<T> message;
        (void)core()->try_recv(message);
        return message;
    }
    /// Refuses further messages; what is in the channel can still be received. Idempotent.
    void close() noexcept { core()->close(); }
    [[nodiscard]] bool closed() const noexcept { return core()->closed(); }
    [[nodiscard]] std::size_t size() const noexcept { return core()->size(); }
    [[nodiscard]] std::size_t capacity() const noexcept { return core()->capacity(); }
    /// The most messages that were in it at once.
    [[nodiscard]] std::size_t peak() const noexcept { return core()->peak(); }

private:
    template <class U>
    friend std::pair<sender<U>, receiver<U>> channel(std::size_t);
    explicit receiver(std::shared_ptr<detail::channel_core<T>> core) noexcept : core_{std::move(core)} { arrive(); }
    void arrive() noexcept {
        if (core_) core_->receiver_is_at(this);
    }
    detail::channel_core<T>* core() const noexcept {
        if (!core_) detail::misuse("a moved-from channel receiver was used");
        return core_.get();
    }
    std::shared_ptr<detail::channel_core<T>> core_;
};

/// Makes a channel for at most `capacity` messages and permits; at least 1. Throws std::invalid_argument, std::bad_alloc.
template <class T>
[[nodiscard]] std::pair<sender<T>, receiver<T>> channel(std::size_t capacity) {
    static_assert(std::is_nothrow_move_constructible_v<T>,
                  "belay: a message must be nothrow-movable, or a throwing move could lose it: send a std::unique_ptr<T>");
    auto core = std::make_shared<detail::channel_core<T>>(capacity);
    return {sender<T>{core}, receiver<T>{std::move(core)}};
}

}  // namespace belay
