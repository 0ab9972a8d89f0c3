// Awaiting what is not belay's: any awaitable of another library. Whatever thread resumes it, the task goes on on its own
// runtime. Included by task.hpp.
//
// On stop: not stoppable, since the standard awaiter protocol has no way to ask. The task waits for the foreign operation
// and stops at its next own suspension.
#pragma once

#include <belay/runtime/operation.hpp>

#include <coroutine>
#include <exception>
#include <type_traits>
#include <utility>

namespace belay::detail {

template <class A>
concept has_member_co_await = requires(A&& a) { static_cast<A&&>(a).operator co_await(); };
template <class A>
concept has_free_co_await = requires(A&& a) { operator co_await(static_cast<A&&>(a)); };

template <class A>
decltype(auto) get_foreign_awaiter(A&& a) {
    if constexpr (has_member_co_await<A>) {
        return static_cast<A&&>(a).operator co_await();
    } else if constexpr (has_free_co_await<A>) {
        return operator co_await(static_cast<A&&>(a));
    } else {
        return static_cast<A&&>(a);
    }
}

/// The coroutine whose handle a foreign awaiter gets in place of the task's: when resumed, from any thread, it completes
/// the operation that the task waits on.
class foreign_bridge {
public:
    struct promise_type {
        foreign_bridge get_return_object() noexcept {
            return foreign_bridge{std::coroutine_handle<promise_type>::from_promise(*this)};
        }
        static std::suspend_always initial_suspend() noexcept { return {}; }
        static std::suspend_always final_suspend() noexcept { return {}; }
        static void return_void() noexcept {}
        [[noreturn]] static void unhandled_exception() noexcept { std::terminate(); }
    };
    foreign_bridge() = default;
    explicit foreign_bridge(std::coroutine_handle<promise_type> h) noexcept : handle_{h} {}
    foreign_bridge(foreign_bridge&& other) noexcept : handle_{std::exchange(other.handle_, {})} {}
    foreign_bridge& operator=(foreign_bridge&& other) noexcept {
        std::swap(handle_, other.handle_);
        return *this;
    }
    ~foreign_bridge() {
        if (handle_) handle_.destroy();
    }
    [[nodiscard]] std::coroutine_handle<> handle() const noexcept { return handle_; }

private:
    std::coroutine_handle<promise_type> handle_;
};

class foreign_operation : public operation {
public:
    void request_stop(stop_walk&) noexcept override {}
    [[nodiscard]] const char* what() const noexcept override { return "foreign awaitable"; }

protected:
    ~foreign_operation() = default;
    /// A resumed coroutine may not destroy itself before it has suspended again, so the record is queued from the final
    /// suspend point: this awaiter is the bridge's last act.
    struct completer {
        foreign_operation& op;
        static bool await_ready() noexcept { return false; }
        void await_suspend(std::coroutine_handle<>) noexcept { op.complete(outcome::value); }
        static void await_resume() noexcept {}
    };
    static foreign_bridge bridge(foreign_operation& op) { co_await completer{op}; }
    foreign_bridge bridge_;
};

template <class A>
struct foreign_awaiter final : foreign_operation, native_awaitable {
    using awaiter_ref = decltype(get_foreign_awaiter(std::declval<A>()));
    awaiter_ref awaiter;

    explicit foreign_awaiter(A&& a) : awaiter(get_foreign_awaiter(static_cast<A&&>(a))) {
        static_assert(
            requires {
                awaiter.await_ready();
                awaiter.await_resume();
            },
            "belay: this type cannot be awaited: it has no await_ready/await_suspend/await_resume and no "
            "operator co_await");
    }

    bool await_ready() { return static_cast<bool>(awaiter.await_ready()); }

    template <task_promise P>
    bool await_suspend(std::coroutine_handle<P> task) {
        bridge_ = bridge(*this);
        std::coroutine_handle<> h = bridge_.handle();
        if (!suspend_on(*task.promise().rec)) return true;
        try {
            using result = decltype(awaiter.await_suspend(h));
            if constexpr (std::is_void_v<result>) {
                awaiter.await_suspend(h);
                return true;
            } else if constexpr (std::is_same_v<result, bool>) {
                return awaiter.await_suspend(h) || !complete_inline();
            } else {
                awaiter.await_suspend(h).resume();  // its own coroutine runs here, on this worker, until it suspends
                return true;
            }
        } catch (...) {
            // The foreign awaiter refused before it took the handle: the exception is the outcome.
            error_ = std::current_exception();
            return !complete_inline();
        }
    }

    decltype(auto) await_resume() {
        if (error_) std::rethrow_exception(error_);
        return awaiter.await_resume();
    }

private:
    std::exception_ptr error_;
};

}  // namespace belay::detail
