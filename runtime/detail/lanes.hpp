// Bounded concurrency over a source of items: at most n *lanes*, each of which takes an item, works on it, takes the next.
//
// Exactly one lane at a time has the *turn*: it alone takes from the source, which so needs no lock and may itself suspend. With
// its item in hand a lane passes the turn on and starts one more lane, if there may be more and none is starting already; a lane
// that has done its work takes the turn if it is free, and ends otherwise: whoever has the turn starts a new lane when there is an
// item for it. So there are never more lanes than items that were asked for, nobody waits for the turn, and with all lanes busy an
// item costs no task of its own. At the end of the source the turn is kept, and all lanes end.
#pragma once

#include <belay/runtime/as_task.hpp>
#include <belay/runtime/at_most.hpp>
#include <belay/runtime/detail/item_source.hpp>
#include <belay/runtime/scope.hpp>
#include <belay/runtime/yield.hpp>

#include <algorithm>
#include <atomic>
#include <concepts>
#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <optional>
#include <source_location>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace belay::detail {

/// Who may take the next item, and how many lanes there are, in one word. Invariant: while the turn is free there is a lane that
/// has not come to take_turn() or begin() yet, so it is never lost.
class lane_count {
public:
    explicit lane_count(at_most limit) noexcept : most_{std::min<std::uint64_t>(limit.value(), max_lanes)} {}

    /// The lane that has the turn has its item. True: it has to start one more lane, which is counted already.
    [[nodiscard]] bool pass_turn() noexcept {
        auto seen = word_.load(std::memory_order_relaxed);
        for (;;) {
            bool start = (seen & starting) == 0 && seen / lane < most_;
            auto wanted = (seen | turn_free) + (start ? starting + lane : 0);
            // release, pairs with leave_or_take(): what was done to the source is visible to the next who takes from it.
            if (word_.compare_exchange_weak(seen, wanted, std::memory_order_release, std::memory_order_relaxed)) return start;
        }
    }
    /// A lane has done its work. True: it has the turn. False: it is not counted any more and ends.
    [[nodiscard]] bool take_turn() noexcept { return leave_or_take(0); }
    /// The same for a lane that begins.
    [[nodiscard]] bool begin() noexcept { return leave_or_take(starting); }

private:
    static constexpr std::uint64_t turn_free = 1;
    static constexpr std::uint64_t starting = 2;  // a lane was started and has not begun
    static constexpr std::uint64_t lane = 4;
    static constexpr std::uint64_t max_lanes = std::numeric_limits<std::uint64_t>::max() / lane;

    bool leave_or_take(std::uint64_t done) noexcept {
        auto seen = word_.load(std::memory_order_relaxed);
        for (;;) {
            bool take = (seen & turn_free) != 0;
            auto wanted = seen - done - (take ? turn_free : lane);
            // acquire, pairs with pass_turn(). A lane that leaves publishes nothing: its result goes by the end of the scope.
            if (word_.compare_exchange_weak(seen, wanted, std::memory_order_acquire, std::memory_order_relaxed)) return take;
        }
    }

    std::atomic<std::uint64_t> word_{lane};  // the first lane begins with the turn
    std::uint64_t most_;
};

/// What the awaitable that f(item) returns gives.
template <class R, class F>
using called_t = typename task_of_t<std::invoke_result_t<const F&, item_of_t<R>>>::value_type;

/// The sentences for what does not fit.
template <class R, class F>
constexpr bool checked_callable() {
    using item = item_of_t<R>;
    static_assert(std::invocable<F&, item>,
                  "belay: f is called with an item of its own, f(std::move(item)), and these do not fit: take it by value. To "
                  "work on the caller's objects pass a range of pointers");
    static_assert(!std::invocable<F&, item> || std::invocable<const F&, item>,
                  "belay: f is called from several tasks at once, so it must be callable as const: write the lambda without "
                  "`mutable`, and let it refer to what is safe to share");
    if constexpr (std::invocable<const F&, item>) {
        static_assert(!std::is_void_v<std::invoke_result_t<const F&, item>>,
                      "belay: f must return a belay::task or another awaitable: write a coroutine lambda, "
                      "[](auto item) -> belay::task<...> { ... co_return ...; }");
        return !std::is_void_v<std::invoke_result_t<const F&, item>>;
    }
    return false;
}

/// The results of void: none.
struct no_results {
    static no_results* add() noexcept { return nullptr; }
};

/// What the lanes of one call share; it lives in the frame of the task that the call returned. `Results::add()` gives the place of
/// the next item's result; it is called with the turn in hand.
template <class R, class F, class Results>
struct fan_out {
    fan_out(held<R>& from, at_most n, const F& f, Results& r, std::source_location where)
        : source{from}, lanes{n}, call{f}, results{r}, at{where} {}
    item_source<R> source;
    lane_count lanes;
    const F& call;
    Results& results;
    std::source_location at;
};

template <class R, class F, class Results>
task<> run_lane(fan_out<R, F, Results>& all, scope& s, bool has_turn) {
    // The checkpoints see a stop even where nothing else suspends, and not with the turn in hand: that would hold up the others.
    if (!has_turn) {
        co_await checkpoint();
        if (!all.lanes.begin()) co_return;
    }
    do {
        std::optional<item_of_t<R>> item = co_await all.source.next();
        if (!item) co_return;
        auto* result = all.results.add();
        if (all.lanes.pass_turn()) scope_access::spawn_beside_body(s, all.at, [&all, &s] { return run_lane(all, s, false); });
        if constexpr (std::is_same_v<Results, no_results>) {
            static_cast<void>(result);
            co_await std::invoke(all.call, std::move(*item));
        } else {
            result->emplace(co_await std::invoke(all.call, std::move(*item)));
        }
        co_await checkpoint();
    } while (all.lanes.take_turn());
}

/// Runs all items. The first lane is the scope's body, spawned where the others are: a single item costs no spawn.
template <class R, class F, class Results>
task<> run_lanes(fan_out<R, F, Results>& all, std::string_view name) {
    record& parent = co_await open_scope{};
    // The lanes bound themselves; one that ends is still counted for a moment, so the scope's limit must not be the same.
    scope s{parent.core(), {.name = name, .max_tasks = 4'000'000'000}};
    scope_access::open(s, parent);
    auto first = [&all](scope& in) { return run_lane(all, in, true); };
    co_return co_await scope_body<void>{s, parent, all.at, first};
}

template <class R, class F>
task<> run_for_each(held<R> from, at_most n, F f, std::string_view name, std::source_location at) {
    no_results none;
    fan_out<R, F, no_results> all{from, n, f, none, at};
    co_await run_lanes(all, name);
}

/// Places for results in the order of the items. They stay where they are while others are added.
template <class T>
class ordered_results {
public:
    std::optional<stored_t<T>>* add() { return &places_.emplace_back(); }
    std::vector<stored_t<T>> take() {
        std::vector<stored_t<T>> out;
        out.reserve(places_.size());
        for (auto& place : places_) out.push_back(std::move(*place));
        return out;
    }

private:
    std::deque<std::optional<stored_t<T>>> places_;
};

template <class T, class R, class F>
task<std::vector<stored_t<T>>> run_map(held<R> from, at_most n, F f, std::string_view name, std::source_location at) {
    ordered_results<T> results;
    fan_out<R, F, ordered_results<T>> all{from, n, f, results, at};
    co_await run_lanes(all, name);
    co_return results.take();
}

}  // namespace belay::detail
