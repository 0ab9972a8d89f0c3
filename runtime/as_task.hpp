// Turns anything that can be awaited into a task, for combinators that run what they are given as a branch.
#pragma once

#include <belay/runtime/task.hpp>

#include <concepts>
#include <type_traits>
#include <utility>

namespace belay {
namespace detail {

template <class A>
using await_result_t = decltype(get_foreign_awaiter(std::declval<A>()).await_resume());

template <class A>
task<await_result_t<A>> wrap_awaitable(A awaitable) {
    co_return co_await std::move(awaitable);
}

}  // namespace detail

template <class T>
task<T> as_task(task<T>&& t) noexcept {
    return std::move(t);
}

template <class T>
task<T> as_task(task<T>&) noexcept {
    static_assert(
        !std::is_same_v<T, T>,
        "belay: a task is awaited once and is given away for it: write std::move(your_task), or pass make_task(...) directly");
}

/// An operation that has not been awaited yet, moved into the task's frame.
template <class A>
    requires(!detail::is_task<std::remove_cvref_t<A>>)
auto as_task(A&& awaitable) {
    static_assert(!std::is_lvalue_reference_v<A>,
                  "belay: pass the operation as a temporary, e.g. when_any(rx.recv(), sleep_for(1s)), or std::move it");
    static_assert(std::move_constructible<std::remove_cvref_t<A>>,
                  "belay: this operation cannot be moved into a branch: wrap it in a coroutine that awaits it");
    return detail::wrap_awaitable<std::remove_cvref_t<A>>(std::forward<A>(awaitable));
}

template <class A>
using task_of_t = decltype(as_task(std::declval<A>()));

}  // namespace belay
