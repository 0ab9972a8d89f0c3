// map_unordered: the results of an asynchronous function for all items of a range, each as soon as it is there.
//
//     co_await belay::map_unordered(std::move(urls), belay::at_most(16), fetch, [&](page p) { index.add(std::move(p)); });
#pragma once

#include <belay/runtime/for_each.hpp>
#include <belay/sync/mutex.hpp>

#include <concepts>
#include <functional>
#include <source_location>
#include <type_traits>
#include <utility>

namespace belay {
namespace detail {

template <class C, class T>
constexpr bool checked_consumer() {
    static_assert(std::invocable<C&, T>,
                  "belay: map_unordered calls consume(result) with each result of f, and these do not fit");
    return std::invocable<C&, T>;
}

template <class R, class F, class C>
task<> run_map_unordered(held<R> from, at_most n, F f, C consume, std::source_location at) {
    using result = called_t<R, F>;
    mutex turn;
    auto work = [&f = std::as_const(f), &consume, &turn](item_of_t<R> item) -> task<> {
        // Waits with its result in hand, so that no new item is begun in its place before this one is consumed.
        result&& value = co_await std::invoke(f, std::move(item));
        auto mine = co_await turn.lock();
        if constexpr (std::is_void_v<std::invoke_result_t<C&, result>>) {
            std::invoke(consume, std::forward<result>(value));
        } else {
            co_await std::invoke(consume, std::forward<result>(value));
        }
    };
    no_results none;
    fan_out<R, decltype(work), no_results> all{from, n, work, none, at};
    co_await run_lanes(all, "map_unordered");
}

}  // namespace detail

/// As map(), but hands each result to consume(result) in the order in which they were ready. consume returns nothing or an awaitable
/// (a task<>, for instance `tx.send(...)`), and is never called by two tasks at a time: it may change what it refers to without a
/// lock. It is called inside one of the tasks that run f, so this_task is not the caller's.
///
/// Backpressure: an item keeps its place until its result is consumed, so at most `limit` results wait, and a slow consumer holds
/// back f and the range. (A callback and not a generator of results: tasks would run on while the generator stands at a co_yield,
/// outside of any scope that could stop and join them when it is dropped half-way.)
///
/// Errors: as map(); one of consume is an error like the others, and results that wait then are dropped. On stop: as map().
template <class R, class F, class C>
    requires detail::item_range<R>
auto map_unordered(R&& range, at_most limit, F f, C consume, std::source_location at = std::source_location::current()) {
    if constexpr (detail::checked_callable<R, F>()) {
        using result = detail::called_t<R, F>;
        static_assert(!std::is_void_v<result>,
                      "belay: map_unordered hands on results and f has none: write for_each(range, at_most(n), f)");
        if constexpr (detail::checked_consumer<C, result>()) {
            return detail::run_map_unordered<R, F, C>(detail::held<R>{std::forward<R>(range)}, limit, std::move(f),
                                                      std::move(consume), at);
        }
    }
}

}  // namespace belay
