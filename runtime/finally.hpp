// finally: cleanup that must itself await, on value, error and stop alike.
//
//     co_await belay::finally(use(connection), [&]() -> belay::task<> { co_await connection.close_gracefully(); });
#pragma once

#include <belay/runtime/as_task.hpp>
#include <belay/runtime/detail/caught.hpp>
#include <belay/runtime/detail/deadline.hpp>
#include <belay/runtime/detail/group.hpp>
#include <belay/runtime/detail/shield_group.hpp>
#include <belay/runtime/shield.hpp>
#include <belay/runtime/yield.hpp>

#include <chrono>
#include <concepts>
#include <exception>
#include <type_traits>
#include <utility>

namespace belay {
namespace detail {

template <class F>
task<> call_cleanup(F& cleanup) {
    co_await cleanup();
}

/// What becomes of a cleanup that did not end well: its error is thrown if nothing stands against it, else counted and reported with
/// the place where the finally is awaited. That it was stopped has been said already.
void settle_cleanup(outcome how, const std::exception_ptr& error, bool work_failed);

template <class T, class F>
task<T> run_finally(std::int64_t grace_ns, task<T> work, F cleanup) {
    task<> tidy_up = call_cleanup(cleanup);  // before the work: what must run must not lack memory
    caught<T> body{std::move(work), if_stopped::leave_out};
    co_await body;
    auto tidied = shielded<void>::cleanup(grace_ns, std::move(tidy_up));
    co_await tidied;
    settle_cleanup(tidied.ended(), tidied.error(), body.ended() == outcome::error);
    if (body.ended() == outcome::stopped) co_await yield();  // does not return: work is stopped only together with its awaiter
    co_return body.take();
}

}  // namespace detail

/// Awaits `work` (a task or an operation), then the task that `cleanup()` returns, whatever became of the work: value, error or
/// stop. Then the work's value is returned or its error rethrown; if it was stopped, the caller stops. In a scope that is stopped
/// already the work does not begin, and the cleanup runs all the same. If the caller is destroyed before it awaits this, neither
/// runs.
///
/// The cleanup is shielded: no stop from outside and no deadline reaches it. It has `grace` from its own beginning, stop or not, and
/// never more than what a shield around it has left; then it is stopped with reason cleanup_overrun, which is counted and reported
/// (guardrail cleanup_overrun) and changes nothing about the outcome. An error of the cleanup is thrown, also after a stop; if the work failed
/// too, the work's error is thrown and the cleanup's is counted and reported. `cleanup` is moved in and lives until the end; what it
/// refers to must live in the caller. Costs three coroutine frames and the cleanup's own; a timer.
template <class A, class F, class Rep, class Period>
    requires std::invocable<F&>
auto finally(A&& work, F cleanup, std::chrono::duration<Rep, Period> grace) {
    static_assert(detail::is_task<std::invoke_result_t<F&>>,
                  "belay: finally needs a cleanup that returns belay::task<>: write "
                  "[&]() -> belay::task<> { co_await ...; }, or use a destructor if it need not await");
    return detail::run_finally(detail::saturating_ns(grace), as_task(std::forward<A>(work)), std::move(cleanup));
}
template <class A, class F>
    requires std::invocable<F&>
auto finally(A&& work, F cleanup) {
    return finally(std::forward<A>(work), std::move(cleanup), cleanup_grace);
}

}  // namespace belay
