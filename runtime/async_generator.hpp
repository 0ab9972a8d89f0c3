// async_generator<T>: a coroutine that both awaits and yields, consumed one item after the other inside a task.
//
//     belay::async_generator<std::string> lines(io::tcp_stream peer) {
//         line_splitter split;
//         std::array<std::byte, 4096> buffer;
//         while (std::size_t n = co_await peer.read_some(buffer))
//             for (auto& line : split.add(std::span(buffer).first(n))) co_yield std::move(line);
//     }
//     auto from_peer = lines(std::move(peer));
//     while (auto line = co_await from_peer.next()) handle(*line);
//
// The generator runs in the task that awaits next(): no task, queue or allocation of its own but the one frame.
#pragma once

#include <belay/runtime/stop.hpp>
#include <belay/runtime/task.hpp>

#include <concepts>
#include <coroutine>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <source_location>
#include <type_traits>
#include <utility>

namespace belay {

template <class T>
class async_generator;

namespace detail {

template <class>
inline constexpr bool is_async_generator = false;
template <class T>
inline constexpr bool is_async_generator<async_generator<T>> = true;

/// `parent` is the frame that awaits next(), and null while the generator stands at its beginning, at a co_yield or at its end.
template <class T>
class generator_promise_base : public coroutine_promise {
public:
    using coroutine_promise::coroutine_promise;

    /// Back to the consumer: at a co_yield and at the end.
    struct to_consumer {
        static bool await_ready() noexcept { return false; }
        template <class P>
        static std::coroutine_handle<> await_suspend(std::coroutine_handle<P> suspended) noexcept {
            promise_base& me = suspended.promise();
            promise_base& consumer = *std::exchange(me.parent, nullptr);
            me.rec->leaf = &consumer;
            return consumer.handle();
        }
        static void await_resume() noexcept {}
    };
    static to_consumer final_suspend() noexcept { return {}; }
    void unhandled_exception() noexcept { error = std::current_exception(); }
    static void return_void() noexcept {}

    std::remove_reference_t<T>* item = nullptr;  // what was yielded: it lives in the frame until the generator is resumed
    std::exception_ptr error;
};

template <class T>
class generator_promise final : public generator_promise_base<T> {
public:
    using typename generator_promise_base<T>::to_consumer;
    // Not an inherited constructor: its default argument would give this line and not the coroutine's.
    explicit generator_promise(std::source_location made = std::source_location::current()) noexcept
        : generator_promise_base<T>{made} {}
    async_generator<T> get_return_object() noexcept;

    to_consumer yield_value(T&& value) noexcept {
        this->item = std::addressof(value);
        return {};
    }
    /// An lvalue is copied, since the consumer moves the item out.
    struct with_copy : to_consumer {
        explicit with_copy(const T& value) : copy(value) {}
        std::coroutine_handle<> await_suspend(std::coroutine_handle<generator_promise> suspended) noexcept {
            suspended.promise().item = std::addressof(copy);
            return to_consumer::await_suspend(suspended);
        }
        std::remove_cv_t<T> copy;
    };
    with_copy yield_value(const T& value)
        requires std::copy_constructible<T>
    {
        return with_copy{value};
    }
};

template <class T>
class generator_promise<T&> final : public generator_promise_base<T&> {
public:
    using typename generator_promise_base<T&>::to_consumer;
    explicit generator_promise(std::source_location made = std::source_location::current()) noexcept
        : generator_promise_base<T&>{made} {}
    async_generator<T&> get_return_object() noexcept;

    to_consumer yield_value(T& value) noexcept {
        this->item = std::addressof(value);
        return {};
    }
};

template <class T>
class [[nodiscard("belay: write co_await generator.next()")]] next_awaiter;

}  // namespace detail

/// A lazily started coroutine that yields Ts (objects or lvalue references) and may await whatever a task may. Move-only, but
/// not while next() is awaited; not thread-safe. Destroying it, at any co_yield, destroys the frame and what lives in it, and
/// so the generators that it holds (recursively: do not nest them by the thousand).
///
/// It belongs to the task that awaits next(): this_task, deadlines and dumps are that task's. Different tasks may take turns.
template <class T>
class [[nodiscard("belay: a generator does nothing until next() is awaited")]] async_generator {
    static_assert(
        !std::is_void_v<T> && !std::is_rvalue_reference_v<T>,
        "belay: an async_generator yields objects or lvalue references: write async_generator<T> or async_generator<T&>");

public:
    using promise_type = detail::generator_promise<T>;
    /// What next() gives: a reference as a std::reference_wrapper, valid until the following next().
    using value_type = std::conditional_t<std::is_reference_v<T>, std::reference_wrapper<std::remove_reference_t<T>>, T>;

    async_generator(async_generator&& other) noexcept
        : frame_{std::exchange(other.settled().frame_, {})}, state_{std::exchange(other.state_, state::moved_from)} {}
    async_generator& operator=(async_generator&& other) noexcept {
        std::swap(settled().frame_, other.settled().frame_);
        std::swap(state_, other.state_);
        return *this;
    }
    ~async_generator() {
        if (settled().frame_) frame_.destroy();
    }

    /// Awaitable: runs the generator to its next co_yield; std::optional<value_type>, empty at its end. An error of the generator
    /// is rethrown; after that next() is empty. It suspends where the generator does, and lets others run when the poll's
    /// budget is used up, so that a loop over a generator that never suspends is no blocked worker. O(1), no allocation.
    ///
    /// On stop: a generator that is suspended inside is unwound together with the task that awaits it, before that task's own
    /// frame; the generator must live until then. That ends it for good: where a boundary ended the stop (`timeout(1s,
    /// g.next())`), next() throws task_stopped once and is empty from then on. One that stands at a co_yield stays as it is.
    [[nodiscard]] detail::next_awaiter<T> next() noexcept { return detail::next_awaiter<T>{*this}; }

private:
    friend promise_type;
    friend detail::next_awaiter<T>;
    enum class state : std::uint8_t { alive, ended, moved_from };

    explicit async_generator(std::coroutine_handle<> frame) noexcept : frame_{frame} {}
    [[nodiscard]] promise_type& promise() const noexcept {
        return std::coroutine_handle<promise_type>::from_address(frame_.address()).promise();
    }
    async_generator& settled() noexcept {
        if (frame_ && promise().parent != nullptr) [[unlikely]]
            detail::misuse("an async_generator was moved or destroyed while a task waits in its next()");
        return *this;
    }

    std::coroutine_handle<> frame_;  // cleared by unwinding: then it is null although `alive`
    state state_ = state::alive;
};

namespace detail {

template <class T>
async_generator<T> generator_promise<T>::get_return_object() noexcept {
    // promise_base::handle() computes the frame from the promise; that needs this layout.
    static_assert(alignof(generator_promise) <= 16);
    return async_generator<T>{std::coroutine_handle<generator_promise>::from_promise(*this)};
}
template <class T>
async_generator<T&> generator_promise<T&>::get_return_object() noexcept {
    return async_generator<T&>{std::coroutine_handle<generator_promise>::from_promise(*this)};
}

template <class T>
class next_awaiter final : public native_awaitable {
    using generator = async_generator<T>;
    using state = typename generator::state;

public:
    explicit next_awaiter(generator& g) noexcept : generator_{&g} {}

    [[nodiscard]] bool await_ready() const noexcept {
        if (generator_->state_ == state::moved_from) misuse("next() on an async_generator that was moved from");
        return !generator_->frame_;
    }

    template <class P>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<P> awaiting) noexcept {
        static_assert(task_promise<P>, "belay: an async_generator can be consumed only inside a belay::task");
        promise_base& consumer = awaiting.promise();
        record& rec = *consumer.rec;
        bool paused = !spend_budget();
        if (paused && rec.stop_asked()) {  // stopped before anything was asked of the generator
            rec.set_stopped();
            schedule_fair(rec);
            return std::noop_coroutine();
        }
        promise_base& producer = generator_->promise();
        if (producer.parent != nullptr) misuse("two tasks wait in next() of one async_generator: let them take turns");
        producer.parent = &consumer;
        producer.rec = &rec;
        producer.owner = owner_of_generator(&generator_->frame_);
        rec.leaf = &producer;
        if (!paused) return generator_->frame_;
        schedule_fair(rec);  // the last use of this: another worker may run the task by now
        return std::noop_coroutine();
    }

    std::optional<typename generator::value_type> await_resume() {
        if (!generator_->frame_) {
            if (std::exchange(generator_->state_, state::ended) == state::alive) throw task_stopped{};
            return std::nullopt;
        }
        auto& producer = generator_->promise();
        if (!generator_->frame_.done()) return take(*producer.item);
        auto error = std::move(producer.error);
        generator_->state_ = state::ended;
        std::exchange(generator_->frame_, {}).destroy();  // its arguments go now: they may be what somebody waits for
        if (error) std::rethrow_exception(error);
        return std::nullopt;
    }

private:
    static std::optional<typename generator::value_type> take(std::remove_reference_t<T>& item) {
        if constexpr (std::is_reference_v<T>) {
            return std::optional<typename generator::value_type>(std::in_place, item);
        } else {
            return std::optional<typename generator::value_type>(std::in_place, std::move(item));
        }
    }
    generator* generator_;
};

}  // namespace detail
}  // namespace belay
