// map: the results of an asynchronous function for all items of a range, at most n of them at a time.
//
//     belay::task<std::vector<page>> fetch_all(std::vector<url> urls) {
//         co_return co_await belay::timeout(5s, belay::map(std::move(urls), belay::at_most(16), fetch));
//     }
#pragma once

#include <belay/runtime/detail/lanes.hpp>

#include <source_location>
#include <type_traits>
#include <utility>

namespace belay {

/// Awaits f(item) for every item of `range`, at most `limit` at a time, and returns the results as a std::vector in the order of
/// the items (references as std::reference_wrapper). f returns a task or any other awaitable, and is called in the order of the
/// items' beginnings but from several tasks at once, so it is called as const.
///
/// `range`: an input range or an async_generator. An rvalue is moved into the returned task and lives until it ends, its items are
/// moved out; an lvalue (and what a view shows) must outlive the await, its items are copied. The next item is taken only when
/// there is a free place, by one task at a time, so a range or generator needs no lock, and a slow f holds it back. f gets
/// its item as an rvalue that stays alive until its awaitable has ended.
///
/// Errors: the first one, of f, its awaitable, the iterator or the generator, stops the others and is rethrown when they have
/// ended; further ones are counted and reported. On stop: all are stopped and awaited. A generator in which one of them was
/// suspended has then ended, as after any stop.
///
/// Runs at most `limit` tasks (they show `at`, the caller's line, as their spawn site), and starts one only when there is an item
/// and no task that has come free; memory beside the results is bounded by them. While all places are taken an item costs the
/// frame of f's coroutine and nothing else. A loop of items that never suspend lets others run when the budget is used up.
template <class R, class F>
    requires detail::item_range<R>
auto map(R&& range, at_most limit, F f, std::source_location at = std::source_location::current()) {
    if constexpr (detail::checked_callable<R, F>()) {
        using result = detail::called_t<R, F>;
        static_assert(!std::is_void_v<result>,
                      "belay: map collects results and f has none: write for_each(range, at_most(n), f)");
        return detail::run_map<result, R, F>(detail::held<R>{std::forward<R>(range)}, limit, std::move(f), "map", at);
    }
}

}  // namespace belay
