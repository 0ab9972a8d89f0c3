// Deadlines around anything that can be awaited.
//
//     auto page = co_await belay::timeout(5s, fetch(url));           // throws deadline_exceeded
//     auto maybe = co_await belay::try_timeout(5s, rx.recv());       // empty when the time was up
#pragma once

#include <belay/runtime/as_task.hpp>
#include <belay/runtime/scope.hpp>

#include <optional>
#include <type_traits>
#include <utility>

namespace belay {
namespace detail {

template <class T>
task<T> run_with_deadline(deadline limit, task<T> work) {
    record& parent = co_await open_scope{};
    scope s{parent.core(), {.name = "timeout", .deadline = limit}};
    scope_access::open(s, parent);
    co_return co_await scope_body<T>{s, parent, site_of_caller(parent), std::move(work)};
}

template <class T>
using maybe_t = std::conditional_t<std::is_void_v<T>, bool, std::optional<stored_t<T>>>;

template <class T>
task<maybe_t<T>> try_with_deadline(deadline limit, task<T> work) {
    record& parent = co_await open_scope{};
    scope s{parent.core(), {.name = "timeout", .deadline = limit}};
    scope_access::open(s, parent);
    scope_body<T> body{s, parent, site_of_caller(parent), std::move(work)};
    // Not `catch (deadline_exceeded&)`: that of a nested timeout inside the work is the work's error.
    co_await body.joined();
    if (body.overran()) co_return maybe_t<T>{};
    if constexpr (std::is_void_v<T>) {
        body.take();
        co_return true;
    } else {
        co_return maybe_t<T>{body.take()};
    }
}

}  // namespace detail

/// Awaits `work` (a task or an operation) for at most `limit`. When the time is up the work is stopped and awaited, and
/// deadline_exceeded is thrown; a value that won the race is returned. An enclosing deadline that comes first is not
/// shortened and costs no timer. On stop: the work is stopped, then the caller unwinds.
template <class Rep, class Period, class A>
auto timeout(std::chrono::duration<Rep, Period> limit, A&& work) {
    return detail::run_with_deadline(detail::deadline{limit}, as_task(std::forward<A>(work)));
}
template <class Duration, class A>
auto timeout(std::chrono::time_point<std::chrono::steady_clock, Duration> when, A&& work) {
    return detail::run_with_deadline(detail::deadline{when}, as_task(std::forward<A>(work)));
}

/// As timeout(), but returns an empty optional (for void: false) when the time was up. A reference is returned as a
/// std::reference_wrapper.
template <class Rep, class Period, class A>
auto try_timeout(std::chrono::duration<Rep, Period> limit, A&& work) {
    return detail::try_with_deadline(detail::deadline{limit}, as_task(std::forward<A>(work)));
}
template <class Duration, class A>
auto try_timeout(std::chrono::time_point<std::chrono::steady_clock, Duration> when, A&& work) {
    return detail::try_with_deadline(detail::deadline{when}, as_task(std::forward<A>(work)));
}

}  // namespace belay
