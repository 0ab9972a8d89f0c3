// when_all: runs tasks concurrently and returns all their values.
//
//     auto [user, rights] = co_await belay::when_all(load_user(id), load_rights(id));
//     auto pages = co_await belay::when_all(std::move(fetches), belay::at_most(16));    // a range of tasks
#pragma once

#include <belay/runtime/at_most.hpp>
#include <belay/runtime/detail/branches.hpp>
#include <belay/runtime/detail/lanes.hpp>

#include <concepts>
#include <exception>
#include <ranges>
#include <source_location>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

namespace belay {
namespace detail {

template <class T>
using non_void_t = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

template <class T>
non_void_t<T> take_non_void(result_slot<T>& result) {
    if constexpr (std::is_void_v<T>) {
        result.take();
        return {};
    } else {
        return result.take();
    }
}

template <class... Ts>
class [[nodiscard]] when_all_awaiter final : public branch_group, public native_awaitable {
public:
    explicit when_all_awaiter(task<Ts>&&... tasks) : branches_{std::move(tasks)...} {}

    static bool await_ready() noexcept { return false; }

    template <class P>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<P> awaiting) noexcept {
        static_assert(task_promise<P>, "belay: when_all can be awaited only inside a belay::task");
        record& parent = *awaiting.promise().rec;
        open(parent);
        branches_.make(parent, *this, awaiting.promise().site);
        pending_.store(sizeof...(Ts), std::memory_order_relaxed);  // published with the branches
        if (!suspend_on(parent)) return std::noop_coroutine();
        // The first branch runs here and now, the others wait for a thief or for this worker.
        fork_from_second(std::make_index_sequence<sizeof...(Ts) - 1>{});
        return continue_in(branches_.template get<0>());
    }

    std::tuple<non_void_t<Ts>...> await_resume() {
        if (error_) std::rethrow_exception(error_);
        return take_all(std::index_sequence_for<Ts...>{});
    }

    [[nodiscard]] const char* what() const noexcept override { return "when_all"; }
    void waits_for(wait_sources& out) override {
        out.need_all();
        branches_.each([&](auto& b) { b.list_in(out); });
    }

private:
    template <std::size_t... I>
    void fork_from_second(std::index_sequence<I...>) noexcept {
        (fork(branches_.template get<I + 1>()), ...);
    }
    template <std::size_t... I>
    std::tuple<non_void_t<Ts>...> take_all(std::index_sequence<I...>) {
        // Braces: the elements are taken from first to last.
        return std::tuple<non_void_t<Ts>...>{take_non_void(branches_.template get<I>().result)...};
    }

    void add_children(stop_walk& walk) noexcept override {
        branches_.each([&](auto& b) { walk.add(b); });
    }

    record* branch_done(record& branch, std::size_t, outcome how, const std::exception_ptr* error) noexcept override {
        if (error != nullptr) [[unlikely]]
            fail(branch, *error);
        if (how == outcome::stopped) stopped_.store(true, std::memory_order_relaxed);  // ordered by pending_
        if (!last_branch()) return nullptr;
        bool pass_on = !error_ && stopped_.load(std::memory_order_relaxed) && enclosing_stopped();
        return finish(pass_on ? outcome::stopped : outcome::value);
    }

    /// The first error is the outcome and stops the siblings; a task_stopped raised after the stop is never first.
    void fail(record& branch, const std::exception_ptr& error) noexcept {
        if (node.stopped() && is_task_stopped(error)) return;
        if (!failed_.exchange(true, std::memory_order_acq_rel)) {  // acq_rel: one writer of error_, seen via pending_
            error_ = error;
            stop_children(stop_reason::sibling_failed);
        } else {
            report_lost_error(branch.core(), "when_all", branch.spawn_site(), error);
        }
    }

    branch_set<Ts...> branches_;
    std::exception_ptr error_;
    std::atomic<bool> failed_{false};
    std::atomic<bool> stopped_{false};
};

template <class... Ts>
struct [[nodiscard("belay: when_all does nothing until it is awaited: write co_await when_all(...)")]] when_all_op
    : native_awaitable {
    std::tuple<task<Ts>...> tasks;
    explicit when_all_op(task<Ts>&&... t) : tasks{std::move(t)...} {}
    when_all_awaiter<Ts...> operator co_await() && {
        return std::apply([](auto&... t) { return when_all_awaiter<Ts...>{std::move(t)...}; }, tasks);
    }
};

template <class... Ts>
when_all_op<Ts...> make_when_all(task<Ts>&&... tasks) {
    return when_all_op<Ts...>{std::move(tasks)...};
}

}  // namespace detail

/// Awaits all of the tasks or operations, concurrently, and returns a tuple of their values (std::monostate for void).
/// The first error stops the others and is rethrown when all have ended; further errors are counted and reported.
/// On stop: all branches are stopped and awaited. Errors: those of the branches. Complexity: no allocation but the
/// branches' frames; the first branch runs at once on this worker.
template <class... As>
    requires(sizeof...(As) > 0) && (!std::ranges::range<std::remove_reference_t<As>> && ...) &&
            (!std::same_as<As, at_most> && ...)
auto when_all(As&&... awaitables) {
    return detail::make_when_all(as_task(std::forward<As>(awaitables))...);
}

/// Awaits the tasks of a range that is given away, at most `limit` at a time, and returns their values as a std::vector in their order
/// (references as std::reference_wrapper; for task<> nothing). As map() in everything: a range that makes its tasks as it
/// goes, a view or an async_generator, is asked for one only when there is a free place. After an error or a stop, tasks that
/// have not begun are destroyed without running.
template <class R>
    requires detail::item_range<R>
auto when_all(R&& tasks, at_most limit, std::source_location at = std::source_location::current()) {
    static_assert(!std::is_lvalue_reference_v<R>,
                  "belay: a task is awaited once, so its range is given away: write when_all(std::move(tasks), at_most(n))");
    if constexpr (!std::is_lvalue_reference_v<R>) {
        using item = detail::item_of_t<R>;
        static_assert(
            detail::is_task<item>,
            "belay: when_all of a range needs a range of belay::task<T>; for other items write map(range, at_most(n), f)");
        auto itself = [](item t) { return t; };
        using result = typename item::value_type;
        if constexpr (std::is_void_v<result>) {
            return detail::run_for_each<R, decltype(itself)>(detail::held<R>{std::move(tasks)}, limit, itself, "when_all", at);
        } else {
            return detail::run_map<result, R, decltype(itself)>(detail::held<R>{std::move(tasks)}, limit, itself, "when_all", at);
        }
    }
}
template <class R>
    requires std::ranges::range<std::remove_reference_t<R>>
void when_all(R&&) {
    static_assert(!std::ranges::range<std::remove_reference_t<R>>,
                  "belay: forgotten limit: a range may have any number of tasks. Say how many run at a time: "
                  "write when_all(std::move(tasks), at_most(n))");
}

}  // namespace belay
