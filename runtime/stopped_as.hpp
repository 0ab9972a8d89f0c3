// stopped_as_optional and stopped_as_error: a stop of work as a value, or an exception, of the caller's.
//
//     auto reply = co_await belay::stopped_as_optional(ask(server));
//     if (!reply) log("stopped before the answer");        // may say so; its next suspension stops
#pragma once

#include <belay/runtime/as_task.hpp>
#include <belay/runtime/detail/caught.hpp>
#include <belay/runtime/join_handle.hpp>
#include <belay/runtime/stop.hpp>

#include <concepts>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

namespace belay {
namespace detail {

template <class T>
using unless_stopped_t = std::conditional_t<std::is_void_v<T>, bool, std::optional<stored_t<T>>>;

template <class T>
task<unless_stopped_t<T>> run_stopped_as_optional(task<T> work) {
    caught<T> body{std::move(work), if_stopped::stop};
    co_await body;
    if (body.ended() == outcome::stopped) co_return unless_stopped_t<T>{};
    try {
        if constexpr (std::is_void_v<T>) {
            body.take();
            co_return true;
        } else {
            co_return unless_stopped_t<T>{body.take()};
        }
    } catch (const task_stopped&) {
        co_return unless_stopped_t<T>{};
    }
}

template <class T>
task<T> run_stopped_as_error(task<T> work) {
    caught<T> body{std::move(work), if_stopped::stop};
    co_await body;
    if (body.ended() == outcome::stopped) throw task_stopped{body.why()};
    co_return body.take();
}

template <class T, class E>
task<T> run_stopped_as_error(task<T> work, E error) {
    caught<T> body{std::move(work), if_stopped::stop};
    co_await body;
    if (body.ended() != outcome::stopped) {
        try {
            co_return body.take();
        } catch (const task_stopped&) {
            // as if it had been stopped: see below
        }
    }
    throw error;
}

}  // namespace detail

/// Awaits `work` (a task or an operation). A value is returned as an optional (of a std::reference_wrapper for a reference), for
/// void as true. Empty, for void false, in two cases:
/// - An enclosing scope, or this task, is stopped while the work runs. The work is stopped and awaited, and the caller goes on with
///   the empty answer until its next suspension, which stops: a stop is level-triggered and cannot be swallowed. So a loop around
///   this ends at its second turn: what is awaited after the stop was requested never begins, and the caller stops there.
/// - The work ends with the exception task_stopped, which is what a stop becomes inside it where a value is owed: the join of a task that
///   was stopped, a scope of its own that it stopped. The caller is as good as before.
/// Other errors are rethrown, deadline_exceeded among them; a value that won against the stop is delivered. with_scope() without a
/// value returns normally when it is stopped by itself, so here that is true.
template <class A>
auto stopped_as_optional(A&& work) {
    return detail::run_stopped_as_optional(as_task(std::forward<A>(work)));
}

/// As stopped_as_optional(), but throws in place of the empty answer: task_stopped, or `error` (any exception object, moved in).
/// After the stop of an enclosing scope the exception can be caught and looked at; the next suspension of the task stops nevertheless.
template <class A>
auto stopped_as_error(A&& work) {
    return detail::run_stopped_as_error(as_task(std::forward<A>(work)));
}
template <class A, class E>
auto stopped_as_error(A&& work, E error) {
    static_assert(!std::same_as<E, std::exception_ptr>,
                  "belay: stopped_as_error throws the object that it is given: pass the exception itself, "
                  "e.g. stopped_as_error(work, my_error{\"...\"})");
    return detail::run_stopped_as_error(as_task(std::forward<A>(work)), std::move(error));
}

}  // namespace belay
