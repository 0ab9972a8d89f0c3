// shield: work that a stop from outside must not cut short.
//
//     co_await belay::shield(stream.write_all(reply));      // a stop waits until the reply is out, for at most five seconds
#pragma once

#include <belay/runtime/as_task.hpp>
#include <belay/runtime/detail/deadline.hpp>
#include <belay/runtime/detail/shield_group.hpp>

#include <chrono>
#include <utility>

namespace belay {

/// How long shielded work may go on after a stop was requested, and the cleanup of a finally() in any case, unless they say
/// otherwise.
inline constexpr std::chrono::seconds cleanup_grace{5};

namespace detail {

template <class T>
task<T> run_shielded(std::int64_t grace_ns, task<T> work) {
    auto shield = shielded<T>::work_of_its_own(grace_ns, std::move(work));
    co_await shield;
    if (shield.ended() == outcome::stopped) throw task_stopped{stop_reason::cleanup_overrun};
    co_return shield.take();
}

}  // namespace detail

/// Awaits `work` (a task or an operation) even if an enclosing scope is stopped, before or meanwhile. From the stop on it has
/// `grace` to end; then it is stopped with reason cleanup_overrun, and so is the caller. Otherwise its value or error is
/// delivered, and the caller stops at its next suspension. Of nested shields the shortest grace counts, from the one stop on; one
/// that begins in a shield whose grace is over has none; where an inner one is over and the stop is held off by the outer one
/// still, task_stopped with reason cleanup_overrun is thrown between them. Deadlines of enclosing scopes do not reach inside. On shutdown: as any
/// stop. No allocation but a coroutine frame; a timer only when there is a stop.
template <class A>
auto shield(A&& work) {
    return detail::run_shielded(std::chrono::nanoseconds(cleanup_grace).count(), as_task(std::forward<A>(work)));
}
template <class A, class Rep, class Period>
auto shield(A&& work, std::chrono::duration<Rep, Period> grace) {
    return detail::run_shielded(detail::saturating_ns(grace), as_task(std::forward<A>(work)));
}

}  // namespace belay
