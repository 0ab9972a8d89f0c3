// when_any: runs a fixed number of tasks concurrently until the first has ended; the others are stopped and awaited.
//
//     auto won = co_await belay::when_any(serve(listener), interrupted.next());
//     if (won.index == 1) ...                       // std::get<1>(won.values) holds the signal
#pragma once

#include <belay/runtime/when_all.hpp>

#include <cstddef>
#include <functional>
#include <optional>
#include <tuple>
#include <type_traits>

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

namespace detail {

template <class... Ts>
class [[nodiscard]] when_any_awaiter final : public branch_group, public native_awaitable {
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
        if (error_) std::rethrow_exception(error_);
        if (winner_.load(std::memory_order_relaxed) == none) throw task_stopped{};
        when_any_result<Ts...> out;
        out.index = winner_.load(std::memory_order_relaxed);
        take_values(out, std::index_sequence_for<Ts...>{});
        return out;
    }

    [[nodiscard]] const char* what() const noexcept override { return "when_any"; }

private:
    static constexpr std::size_t none = static_cast<std::size_t>(-1);

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

    record* branch_done(record&, std::size_t index, outcome how) noexcept override {
        if (how != outcome::stopped) decide(index, how);
        if (!last_branch()) return nullptr;
        bool all_stopped = winner_.load(std::memory_order_relaxed) == none;
        return finish(all_stopped && enclosing_stopped() ? outcome::stopped : outcome::value);
    }

    void decide(std::size_t index, outcome how) noexcept {
        auto expected = none;
        bool first = winner_.compare_exchange_strong(expected, index, std::memory_order_acq_rel);  // ordered by pending_
        std::size_t i = 0;
        branches_.each([&](auto& b) {
            if (i++ != index || how != outcome::error) return;
            const auto& error = b.result.error();
            if (first) {
                error_ = error;
            } else if (!is_task_stopped(error)) {
                report_lost_error(b.core(), "when_any", b.spawn_site(), error);
            }
        });
        if (first) stop_children(stop_reason::requested);
    }

    branch_set<Ts...> branches_;
    std::exception_ptr error_;
    std::atomic<std::size_t> winner_{none};
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

template <class... Ts>
when_any_op<Ts...> make_when_any(task<Ts>&&... tasks) {
    return when_any_op<Ts...>{std::move(tasks)...};
}

}  // namespace detail

/// Awaits the first of the tasks or operations to end; its value or error decides. The others are stopped and awaited:
/// what they still produced is in the result, their errors are counted and reported. On stop: all are stopped and awaited;
/// if none produced anything, the caller stops too.
template <class... As>
    requires(sizeof...(As) > 0)
auto when_any(As&&... awaitables) {
    return detail::make_when_any(as_task(std::forward<As>(awaitables))...);
}

}  // namespace belay
