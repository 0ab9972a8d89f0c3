// shield: work that a stop from outside must not cut short.
//
//     co_await belay::shield(stream.write_all(reply));      // a stop waits until the reply is out, for at most five seconds
#pragma once

#include <belay/runtime/as_task.hpp>
#include <belay/runtime/detail/deadline.hpp>
#include <belay/runtime/scope.hpp>

#include <chrono>
#include <utility>

namespace belay {

/// How long a shielded cleanup may go on after a stop was requested, unless the shield says otherwise.
inline constexpr std::chrono::seconds cleanup_grace{5};

namespace detail {

template <class T>
task<T> run_shielded(std::int64_t grace_ns, task<T> work) {
    record& parent = co_await open_scope{};
    scope s{parent.core(), {.name = "shield"}};
    scope_access::open_shield(s, parent, grace_ns);
    co_return co_await scope_body<T>{s, parent, parent.spawn_site(), std::move(work)};
}

}  // namespace detail

/// Awaits `work` (a task or an operation) even if an enclosing scope is stopped, before or meanwhile. From the stop on it has
/// `grace` to end; then it is stopped with reason cleanup_overrun. Its value or error is delivered, and the caller stops at its
/// next suspension. Deadlines of enclosing scopes do not reach inside. On shutdown: as any stop.
template <class A>
auto shield(A&& work) {
    return detail::run_shielded(std::chrono::nanoseconds(cleanup_grace).count(), as_task(std::forward<A>(work)));
}
template <class A, class Rep, class Period>
auto shield(A&& work, std::chrono::duration<Rep, Period> grace) {
    return detail::run_shielded(detail::saturating_ns(grace), as_task(std::forward<A>(work)));
}

}  // namespace belay
