// yield and checkpoint: letting others run, and noticing a stop, in code that computes.
#pragma once

#include <belay/runtime/operation.hpp>

#include <coroutine>

namespace belay {
namespace detail {

/// True if the current task's scope was stopped.
bool stop_requested_here() noexcept;

class [[nodiscard("belay: write co_await belay::yield()")]] yield_awaiter : public native_awaitable {
public:
    static bool await_ready() noexcept { return false; }
    template <class P>
    static void await_suspend(std::coroutine_handle<P> awaiting) noexcept {
        static_assert(task_promise<P>, "belay: yield can be awaited only inside a belay::task");
        record& rec = *awaiting.promise().rec;
        if (rec.stop_asked()) rec.set_stopped();
        schedule_fair(rec);
    }
    static void await_resume() noexcept {}
};

class [[nodiscard("belay: write co_await belay::checkpoint()")]] checkpoint_awaiter : public yield_awaiter {
public:
    static bool await_ready() noexcept { return !stop_requested_here() && spend_budget(); }
};

}  // namespace detail

/// Awaitable: lets every task that is ready in this worker's queue run first. On stop: the task stops here.
inline detail::yield_awaiter yield() noexcept { return {}; }

/// Awaitable: stops here if the scope was stopped; otherwise goes on at once, or yields when the poll's budget is used up.
/// For loops that compute. A few nanoseconds.
inline detail::checkpoint_awaiter checkpoint() noexcept { return {}; }

}  // namespace belay
