// when_any: runs tasks concurrently until the first has ended; the others are stopped and awaited.
//
//     auto won = co_await belay::when_any(serve(listener), interrupted.next());
//     if (won.index == 1) ...                       // std::get<1>(won.values) holds the signal
//     auto fastest = co_await belay::when_any(std::move(asked_mirrors));        // a range of tasks: *fastest.values[fastest.index]
#pragma once

#include <belay/runtime/detail/branch_array.hpp>
#include <belay/runtime/when_all.hpp>

#include <atomic>
#include <concepts>
#include <cstddef>
#include <exception>
#include <functional>
#include <optional>
#include <ranges>
#include <stdexcept>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace belay {

namespace detail {
/// What an optional can hold of a result: a reference as std::reference_wrapper.
template <class T>
using kept_t =
    std::conditional_t<std::is_lvalue_reference_v<T>, std::reference_wrapper<std::remove_reference_t<T>>, non_void_t<T>>;
}  // namespace detail

/// `index` is the branch that ended first. Every branch that produced a value has it here, the losers too if theirs came
/// before the stop did: nothing is lost. A branch that produces a reference has it as a std::reference_wrapper.
template <class... Ts>
struct when_any_result {
    std::size_t index = 0;
    std::tuple<std::optional<detail::kept_t<Ts>>...> values;
};

/// The same for a range of tasks: `values` has an element for each of them, in their order.
template <class T>
struct when_any_range_result {
    std::size_t index = 0;
    std::vector<std::optional<detail::kept_t<T>>> values;
};

namespace detail {

/// Who wins, whatever the branches are.
class race : public branch_group {
public:
    [[nodiscard]] const char* what() const noexcept final { return "when_any"; }

protected:
    ~race() = default;
    /// The index of the branch that ended first. Throws its error; task_stopped when no branch produced anything.
    [[nodiscard]] std::size_t winner() const {
        if (error_) std::rethrow_exception(error_);
        auto index = winner_.load(std::memory_order_relaxed);  // ordered by pending_
        if (index == none) throw task_stopped{};
        return index;
    }

private:
    static constexpr std::size_t none = static_cast<std::size_t>(-1);

    record* branch_done(record& branch, std::size_t index, outcome how, const std::exception_ptr* error) noexcept final {
        if (how != outcome::stopped) decide(branch, index, error);
        if (!last_branch()) return nullptr;
        bool all_stopped = winner_.load(std::memory_order_relaxed) == none;
        return finish(all_stopped && enclosing_stopped() ? outcome::stopped : outcome::value);
    }

    void decide(record& branch, std::size_t index, const std::exception_ptr* error) noexcept {
        auto expected = none;
        bool first = winner_.compare_exchange_strong(expected, index, std::memory_order_acq_rel);  // ordered by pending_
        if (error != nullptr && first) error_ = *error;
        if (error != nullptr && !first && !is_task_stopped(*error))
            report_lost_error(branch.core(), "when_any", branch.spawn_site(), *error);
        if (first) stop_children(stop_reason::requested);
    }

    std::exception_ptr error_;
    std::atomic<std::size_t> winner_{none};
};

template <class... Ts>
class [[nodiscard]] when_any_awaiter final : public race, public native_awaitable {
public:
    explicit when_any_awaiter(task<Ts>&&... tasks) : branches_{std::move(tasks)...} {}

    static bool await_ready() noexcept { return false; }

    template <class P>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<P> awaiting) noexcept {
        static_assert(task_promise<P>, "belay: when_any can be awaited only inside a belay::task");
        record& parent = *awaiting.promise().rec;
        open(parent);
        branches_.make(parent, *this, awaiting.promise().site);
        pending_.store(sizeof...(Ts), std::memory_order_relaxed);  // published with the branches
        if (!suspend_on(parent)) return std::noop_coroutine();
        fork_from_second(std::make_index_sequence<sizeof...(Ts) - 1>{});
        return continue_in(branches_.template get<0>());
    }

    when_any_result<Ts...> await_resume() {
        when_any_result<Ts...> out;
        out.index = winner();
        take_values(out, std::index_sequence_for<Ts...>{});
        return out;
    }

private:
    template <std::size_t... I>
    void fork_from_second(std::index_sequence<I...>) noexcept {
        (fork(branches_.template get<I + 1>()), ...);
    }
    template <std::size_t... I>
    void take_values(when_any_result<Ts...>& out, std::index_sequence<I...>) {
        ((branches_.template get<I>().ended == outcome::value
              ? void(std::get<I>(out.values).emplace(take_non_void(branches_.template get<I>().result)))
              : void()),
         ...);
    }

    void add_children(stop_walk& walk) noexcept override {
        branches_.each([&](auto& b) { walk.add(b); });
    }
    void waits_for(wait_sources& out) override {
        branches_.each([&](auto& b) { b.list_in(out); });
    }

    branch_set<Ts...> branches_;
};

template <class... Ts>
struct [[nodiscard("belay: when_any does nothing until it is awaited: write co_await when_any(...)")]] when_any_op
    : native_awaitable {
    std::tuple<task<Ts>...> tasks;
    explicit when_any_op(task<Ts>&&... t) : tasks{std::move(t)...} {}
    when_any_awaiter<Ts...> operator co_await() && {
        return std::apply([](auto&... t) { return when_any_awaiter<Ts...>{std::move(t)...}; }, tasks);
    }
};

template <class T>
class [[nodiscard]] when_any_range_awaiter final : public race, public native_awaitable {
public:
    explicit when_any_range_awaiter(std::vector<task<T>>&& tasks) : branches_{std::move(tasks)} {}

    static bool await_ready() noexcept { return false; }

    template <class P>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<P> awaiting) noexcept {
        static_assert(task_promise<P>, "belay: when_any can be awaited only inside a belay::task");
        record& parent = *awaiting.promise().rec;
        open(parent);
        branches_.make(parent, *this, awaiting.promise().site);
        pending_.store(branches_.size(), std::memory_order_relaxed);  // published with the branches
        if (!suspend_on(parent)) return std::noop_coroutine();
        for (std::size_t i = 1; i < branches_.size(); ++i) fork(branches_[i]);
        return continue_in(branches_[0]);
    }

    when_any_range_result<T> await_resume() {
        when_any_range_result<T> out;
        out.index = winner();
        out.values.resize(branches_.size());
        for (std::size_t i = 0; i < branches_.size(); ++i)
            if (branches_[i].ended == outcome::value) out.values[i].emplace(take_non_void(branches_[i].result));
        return out;
    }

private:
    void add_children(stop_walk& walk) noexcept override {
        for (std::size_t i = 0; i < branches_.size(); ++i) walk.add(branches_[i]);
    }
    void waits_for(wait_sources& out) override {
        for (std::size_t i = 0; i < branches_.size(); ++i) branches_[i].list_in(out);
    }
    branch_array<T> branches_;
};

template <class T>
struct [[nodiscard("belay: when_any does nothing until it is awaited: write co_await when_any(...)")]] when_any_range_op
    : native_awaitable {
    std::vector<task<T>> tasks;
    explicit when_any_range_op(std::vector<task<T>>&& t) noexcept : tasks{std::move(t)} {}
    when_any_range_awaiter<T> operator co_await() && { return when_any_range_awaiter<T>{std::move(tasks)}; }
};

template <class... Ts>
when_any_op<Ts...> make_when_any(task<Ts>&&... tasks) {
    return when_any_op<Ts...>{std::move(tasks)...};
}

}  // namespace detail

/// Awaits the first of the tasks or operations to end; its value or error decides. The others are stopped and awaited:
/// what they still produced is in the result, their errors are counted and reported. On stop: all are stopped and awaited;
/// if none produced anything, the caller stops too.
template <class... As>
    requires(sizeof...(As) > 0) && (!std::ranges::range<std::remove_reference_t<As>> && ...)
auto when_any(As&&... awaitables) {
    return detail::make_when_any(as_task(std::forward<As>(awaitables))...);
}

/// The same for a range of belay::task<T> that is given away. All of them run at once (that is what a race is), so mind how many
/// there are. Throws std::invalid_argument at the call when there is none: nothing could ever win. Complexity: one array for all
/// branches beside their frames.
template <class R>
    requires std::ranges::input_range<std::remove_reference_t<R>>
auto when_any(R&& tasks) {
    static_assert(!std::is_lvalue_reference_v<R>,
                  "belay: a task is awaited once, so its range is given away: write when_any(std::move(tasks))");
    using item = std::ranges::range_value_t<std::remove_reference_t<R>>;
    static_assert(detail::is_task<item>, "belay: when_any of a range needs a range of belay::task<T>");
    if constexpr (!std::is_lvalue_reference_v<R> && detail::is_task<item>) {
        std::vector<item> all;
        if constexpr (std::same_as<R, std::vector<item>>) {
            all = std::move(tasks);
        } else {
            for (auto&& t : tasks) all.push_back(std::move(t));
        }
        if (all.empty()) throw std::invalid_argument("belay: when_any of an empty range: nothing could ever win");
        return detail::when_any_range_op<typename item::value_type>{std::move(all)};
    }
}

}  // namespace belay
