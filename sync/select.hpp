// select: waits for several operations, and exactly one of them happens.
//
//     auto won = co_await belay::select(rx.recv(), stopping.wait(), belay::sleep_for(1s));
//     if (won.index() == 0) work(won.get<0>());
//
// The others did not happen: nothing was taken from their channels, no permit or lock is kept, they are in nobody's queue, their
// timers are disarmed, no result was consumed. That needs operations whose sources decide whom they serve; these do:
//
//     rx.recv()   tx.send(value)   tx.reserve()   mutex.lock()   semaphore.acquire()   event.wait()
//     handle.join()   handle.join_optional()   sleep_for()   sleep_until()
//
// Everything else is refused when it is compiled: tasks, I/O, timeouts, other selects, operations of other libraries. They can be
// stopped, but whether they happened is known only when they have ended, so two of them may have: use when_any, which stops and
// awaits the losers and returns what they still produced.
//
// select(biased, rx.recv(), sleep_for(0s)) does not wait: a sleep of nothing can happen at once.
#pragma once

#include <belay/runtime/detail/selection.hpp>
#include <belay/runtime/task.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

namespace belay {

/// The first argument of a select() that tries its operations in the order in which they are written.
struct biased_t {
    explicit biased_t() = default;
};
inline constexpr biased_t biased{};

namespace detail {

/// How the operation A takes part in a select: as itself, or as what it names.
template <class A>
struct select_arm {
    using type = A;
};
template <class A>
    requires requires { typename A::select_arm; }
struct select_arm<A> {
    using type = typename A::select_arm;
};
template <class A>
using select_arm_t = typename select_arm<A>::type;

template <class A>
concept can_be_arm = requires(A& arm, selection& s, grant_list& served) {
    { arm.try_now() } -> std::same_as<bool>;
    { arm.start_waiting() } -> std::same_as<admission>;
    arm.attach(s, 0U);
    arm.withdraw(served);
    arm.await_resume();
};

/// What a variant can hold of a result.
template <class T>
using selected_t = std::conditional_t<
    std::is_void_v<T>, std::monostate,
    std::conditional_t<std::is_reference_v<T>, std::reference_wrapper<std::remove_reference_t<T>>, std::remove_cv_t<T>>>;

}  // namespace detail

/// What a select() gave: which operation happened, and its result. Operations are numbered from 0 as they were written; several
/// may have results of the same type. A reference is kept as a std::reference_wrapper.
template <class... Ts>
class [[nodiscard]] select_result {
    template <std::size_t I>
    using result = std::tuple_element_t<I, std::tuple<Ts...>>;

public:
    template <std::size_t I, class... Args>
    explicit select_result(std::in_place_index_t<I> which, Args&&... args) : value_{which, std::forward<Args>(args)...} {}

    /// Which operation happened.
    [[nodiscard]] std::size_t index() const noexcept { return value_.index(); }

    /// The result of operation I. Throws std::bad_variant_access if another one happened.
    template <std::size_t I>
        requires(!std::is_void_v<result<I>>)
    [[nodiscard]] auto& get() & {
        return std::get<I>(value_);
    }
    template <std::size_t I>
        requires(!std::is_void_v<result<I>>)
    [[nodiscard]] auto&& get() && {
        return std::get<I>(std::move(value_));
    }
    template <std::size_t I>
        requires(!std::is_void_v<result<I>>)
    [[nodiscard]] const auto& get() const& {
        return std::get<I>(value_);
    }
    /// The same as a pointer, null if another one happened.
    template <std::size_t I>
        requires(!std::is_void_v<result<I>>)
    [[nodiscard]] auto* get_if() & noexcept {
        return std::get_if<I>(&value_);
    }

    /// Calls the function of the operation that happened: one for each, in their order, with the result as its argument (none for
    /// void). Returns what it returns; that is one type for all.
    ///
    ///     std::move(won).visit([](std::optional<job> next) { ... }, [] { ... });
    template <class... Fs>
    decltype(auto) visit(Fs&&... functions) && {
        static_assert(sizeof...(Fs) == sizeof...(Ts),
                      "belay: visit() takes one function for each operation of the select, in their order");
        return call<0>(std::forward<Fs>(functions)...);
    }

private:
    template <std::size_t I, class F, class... Fs>
    decltype(auto) call(F&& f, Fs&&... others) {
        if constexpr (sizeof...(Fs) != 0) {
            if (value_.index() != I) return call<I + 1>(std::forward<Fs>(others)...);
        }
        if constexpr (std::is_void_v<result<I>>) {
            return std::invoke(std::forward<F>(f));
        } else {
            return std::invoke(std::forward<F>(f), std::get<I>(std::move(value_)));
        }
    }
    std::variant<detail::selected_t<Ts>...> value_;
};

namespace detail {

template <bool Biased, class... Arms>
class [[nodiscard("belay: write co_await belay::select(...)")]] select_awaiter final : public selection, public native_awaitable {
    static constexpr std::size_t count = sizeof...(Arms);
    static constexpr unsigned none = count;
    using indices = std::index_sequence_for<Arms...>;

public:
    using result_type = select_result<decltype(std::declval<Arms&>().await_resume())...>;

    template <class... As>
    explicit select_awaiter(std::in_place_t, As&&... operations) : arms_{Arms{std::move(operations)}...} {}
    select_awaiter(select_awaiter&&) = default;

    bool await_ready() noexcept {
        if constexpr (!Biased && count > 1) first_ = static_cast<unsigned>(std::uint64_t{random_here()} * count >> 32);
        auto now = next_pace();
        if (now == pace::stop) return false;
        // Nothing is registered yet, so what is taken needs no claim.
        (void)any_of([this](auto& arm, unsigned i) noexcept { return arm.try_now() && (won_ = i, true); });
        return won_ != none && now == pace::go;
    }
    template <class P>
    bool await_suspend(std::coroutine_handle<P> awaiting) noexcept {
        static_assert(task_promise<P>, "belay: select can be awaited only inside a belay::task");
        record& rec = *awaiting.promise().rec;
        if (won_ != none) {  // it has happened, but the poll's budget is used up
            schedule_fair(rec);
            return true;
        }
        if (!open(rec)) return true;
        (void)any_of([this](auto& arm, unsigned i) noexcept { return decided() || !add(arm, i); });
        return registered();
    }
    void waits_for(wait_sources& out) override {
        std::apply([&](auto&... arms) { (arms.waits_for(out), ...); }, arms_);
    }
    /// An error of the operation that happened is thrown.
    result_type await_resume() { return take<0>(won_ != none ? won_ : winner()); }

private:
    /// f(arm, index) in the order of this select, until it returns true.
    template <class F>
    bool any_of(F f) noexcept {
        return [&]<std::size_t... I>(std::index_sequence<I...>) {
            return ((I >= first_ && f(std::get<I>(arms_), static_cast<unsigned>(I))) || ...) ||
                   ((I < first_ && f(std::get<I>(arms_), static_cast<unsigned>(I))) || ...);
        }(indices{});
    }
    /// True: it waits, so the next one is to be added.
    template <class Arm>
    bool add(Arm& arm, unsigned index) noexcept {
        arm.attach(*this, index);
        switch (arm.start_waiting()) {
        case admission::waiting: linked_ |= std::uint64_t{1} << index; return true;
        case admission::done: granted(); return false;
        case admission::stopped: return false;
        }
        return false;
    }
    void withdraw_losers(unsigned winner, grant_list& served) noexcept override {
        (void)any_of([&](auto& arm, unsigned i) noexcept {
            if (i != winner && (linked_ >> i & 1U) != 0) arm.withdraw(served);
            return false;
        });
    }
    template <std::size_t I>
    result_type take(unsigned won) {
        if constexpr (I + 1 < count) {
            if (won != I) return take<I + 1>(won);
        }
        auto& arm = std::get<I>(arms_);
        if constexpr (std::is_void_v<decltype(arm.await_resume())>) {
            arm.await_resume();
            return result_type{std::in_place_index<I>};
        } else {
            return result_type{std::in_place_index<I>, arm.await_resume()};
        }
    }

    std::tuple<Arms...> arms_;
    std::uint64_t linked_ = 0;  // bit i: arm i waits with its source, or did. Published by registered()
    unsigned first_ = 0;  // the arm that is tried first
    unsigned won_ = none;  // by a try; otherwise the word knows
};

template <bool Biased, class... As>
auto make_select(As&&... operations) {
    static_assert(sizeof...(As) > 0, "belay: select needs at least one operation");
    static_assert(sizeof...(As) <= selection::max_arms, "belay: select takes at most 64 operations");
    static_assert(
        (!std::is_lvalue_reference_v<As> && ...),
        "belay: pass each operation of a select as a temporary, e.g. select(rx.recv(), sleep_for(1s)), or std::move it");
    constexpr bool all = (can_be_arm<select_arm_t<std::remove_cvref_t<As>>> && ...);
    static_assert(
        all,
        "belay: select takes only operations that can be claimed (recv, send, reserve, lock, acquire, wait, join, sleep): "
        "for tasks, I/O and everything else use when_any, which stops and awaits the losers");
    if constexpr (all && sizeof...(As) > 0 && (!std::is_lvalue_reference_v<As> && ...))
        return select_awaiter<Biased, select_arm_t<std::remove_cvref_t<As>>...>{std::in_place, std::move(operations)...};
}

}  // namespace detail

/// Awaitable: suspends until one of the operations can happen, lets exactly that one happen, and returns its index and result
/// as a select_result; an error of it (join of a task that failed) is thrown. If several can happen at once a random one
/// is tried first, so none is starved by the others; after select(biased, ...) the first as they are written.
/// On stop: none has happened; if one had happened already it is delivered. A send() that did not happen leaves its lvalue
/// untouched; a temporary goes with the select, so send an lvalue, or reserve().
/// Each operation must be able to wait as if it stood alone: what it refers to outlives the await, a receiver and a join handle
/// are given once; mutexes, events, semaphores and senders may occur several times. O(operations), no allocation. Up to 64 operations.
template <class... As>
[[nodiscard]] auto select(As&&... operations) {
    return detail::make_select<false>(std::forward<As>(operations)...);
}
template <class... As>
[[nodiscard]] auto select(biased_t, As&&... operations) {
    return detail::make_select<true>(std::forward<As>(operations)...);
}

}  // namespace belay
