// for_each: an asynchronous loop whose turns overlap, at most n at a time.
//
//     co_await belay::for_each(std::move(uploads), belay::at_most(8), [&](upload u) { return client.send(std::move(u)); });
#pragma once

#include <belay/runtime/detail/lanes.hpp>

#include <source_location>
#include <type_traits>
#include <utility>

namespace belay {

/// Awaits f(item) for every item of an input range or of an async_generator, at most `limit` at a time. As map() in everything,
/// but for the results: f's awaitable gives none.
template <class R, class F>
    requires detail::item_range<R>
auto for_each(R&& range, at_most limit, F f, std::source_location at = std::source_location::current()) {
    if constexpr (detail::checked_callable<R, F>()) {
        static_assert(std::is_void_v<detail::called_t<R, F>>,
                      "belay: for_each would drop the results of f: write map(range, at_most(n), f), or return task<>");
        return detail::run_for_each<R, F>(detail::held<R>{std::forward<R>(range)}, limit, std::move(f), "for_each", at);
    }
}

}  // namespace belay
