// with_stop_token: work that somebody else's std::stop_token stops. The other way round is this_task::stop_token().
//
//     std::jthread host{[&](std::stop_token token) { rt.block_on(belay::with_stop_token(token, serve())); }};
#pragma once

#include <belay/runtime/as_task.hpp>
#include <belay/runtime/scope.hpp>

#include <concepts>
#include <stop_token>
#include <type_traits>
#include <utility>

namespace belay {
namespace detail {

/// What a std::stop_callback calls. Why the scope and its body are there: the callback object is declared after them, in the same
/// frame, so it is made when they are whole and destroyed first, on return and on unwinding alike; and its destructor waits for a call
/// that is going on in another thread. It cannot be destroyed from inside the call, since a stop never resumes or unwinds a task inline.
struct stop_scope {
    scope* target;
    void operator()() const noexcept { target->request_stop(); }
};

template <class T>
task<T> run_with_stop_token(std::stop_token token, task<T> work) {
    record& parent = co_await open_scope{};
    scope s{parent.core(), {.name = "stop_token"}};
    scope_access::open(s, parent);
    scope_body<T> body{s, parent, site_of_caller(parent), std::move(work)};
    std::stop_callback<stop_scope> callback{std::move(token), stop_scope{&s}};
    co_await body.joined();
    co_return body.take();
}

template <class T, class F>
task<T> run_scope_with_stop_token(std::stop_token token, scope_options options, F work) {
    record& parent = co_await open_scope{};
    scope s{parent.core(), options};
    scope_access::open(s, parent);
    scope_body<T> body{s, parent, site_of_caller(parent), work};
    std::stop_callback<stop_scope> callback{std::move(token), stop_scope{&s}};
    co_await body.joined();
    co_return body.take();
}

}  // namespace detail

/// Awaits `work` (a task or an operation) in a scope that is stopped, with reason `requested`, when `token` is. As with a scope's own
/// request_stop: returns normally for task<>, throws task_stopped for task<T>; a value that won is returned, errors are rethrown. If
/// the token is stopped already, the work runs to its first suspension. On a stop of an enclosing scope: the work is stopped and
/// awaited, then the caller unwinds. `token` and `work` are moved in.
///
/// The stop is delivered on the thread that calls request_stop() on the token's source, and before that call returns. That thread must not
/// hold what the end of the work waits for, since the end waits for a delivery that is going on.
template <class A>
    requires(!std::invocable<A&, scope&>)
auto with_stop_token(std::stop_token token, A&& work) {
    return detail::run_with_stop_token(std::move(token), as_task(std::forward<A>(work)));
}

/// As with_scope(options, body), and the scope itself is stopped, with reason `requested`, when `token` is.
template <class F>
    requires std::invocable<F&, scope&>
auto with_stop_token(std::stop_token token, scope_options options, F body) {
    using result = std::invoke_result_t<F&, scope&>;
    static_assert(detail::is_task<result>,
                  "belay: with_stop_token needs a body that returns belay::task<T>: write "
                  "[&](belay::scope& s) -> belay::task<> { ... co_return; }");
    return detail::run_scope_with_stop_token<typename result::value_type, F>(std::move(token), options, std::move(body));
}
template <class F>
    requires std::invocable<F&, scope&>
auto with_stop_token(std::stop_token token, F body) {
    return with_stop_token(std::move(token), scope_options{}, std::move(body));
}

}  // namespace belay
