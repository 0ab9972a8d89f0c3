// Where the combinators over ranges take their items from: an input range, or an async_generator.
#pragma once

#include <belay/runtime/async_generator.hpp>
#include <belay/runtime/operation.hpp>

#include <concepts>
#include <functional>
#include <memory>
#include <optional>
#include <ranges>
#include <type_traits>
#include <utility>

namespace belay::detail {

/// True for a container that was given away. Moving out of a view would take the items of somebody else's container.
template <class R>
inline constexpr bool owns_items = !std::is_lvalue_reference_v<R> && !std::ranges::view<std::remove_cvref_t<R>> &&
                                   !std::ranges::borrowed_range<std::remove_cvref_t<R>>;

/// A range or a generator as the caller gave it: an lvalue is referred to, an rvalue is moved in.
template <class R>
class held {
public:
    explicit held(R&& r) : range_(std::forward<R>(r)) {}
    held(held&&) = default;
    held& operator=(held&&) = delete;
    /// Tasks that were given to us and not come to, because of an error or a stop, are not tasks that somebody forgot.
    ~held() {
        if constexpr (owns_tasks) {
            for (auto& t : range_) task_access::destroy(t);
        }
    }
    [[nodiscard]] R& get() noexcept { return range_; }

private:
    static constexpr bool owns_tasks = [] {
        if constexpr (std::ranges::forward_range<R> && owns_items<R>) {
            return is_task<std::ranges::range_value_t<R>> && std::is_lvalue_reference_v<std::ranges::range_reference_t<R>>;
        } else {
            return false;
        }
    }();
    R range_;
};
template <class R>
class held<R&> {
public:
    explicit held(R& r) noexcept : range_{std::addressof(r)} {}
    [[nodiscard]] R& get() const noexcept { return *range_; }

private:
    R* range_;
};

/// Takes one item after the other out of a held range; the held one stays where it is. One caller at a time. An iterator moves on
/// only when the following item is asked for: an input range is never read ahead.
template <class R>
class item_source {
    using range = std::remove_reference_t<R>;

public:
    using item = std::ranges::range_value_t<range>;
    static_assert(std::move_constructible<item>, "belay: the items of the range go by value into tasks, so they must be movable");
    static_assert(owns_items<R> || std::constructible_from<item, std::ranges::range_reference_t<range>>,
                  "belay: the items of this range cannot be copied: give the range away with std::move(range), or pass pointers");

    explicit item_source(held<R>& from) noexcept : from_{from} {}

    /// An awaitable that never suspends, so that both kinds of sources are asked in the same way.
    struct next_item : native_awaitable {
        explicit next_item(item_source& s) noexcept : source{s} {}
        static bool await_ready() noexcept { return true; }
        static void await_suspend(std::coroutine_handle<>) noexcept {}
        std::optional<item> await_resume() { return source.take(); }
        item_source& source;
    };
    [[nodiscard]] next_item next() noexcept { return next_item{*this}; }

private:
    std::optional<item> take() {
        if (!at_) {
            at_.emplace(std::ranges::begin(from_.get()));
            end_.emplace(std::ranges::end(from_.get()));
        } else {
            ++*at_;
        }
        if (*at_ == *end_) return std::nullopt;
        if constexpr (owns_items<R>) {
            return std::optional<item>(std::in_place, std::ranges::iter_move(*at_));
        } else {
            return std::optional<item>(std::in_place, **at_);
        }
    }

    held<R>& from_;
    std::optional<std::ranges::iterator_t<range>> at_;
    std::optional<std::ranges::sentinel_t<range>> end_;
};

template <class R>
    requires is_async_generator<std::remove_cvref_t<R>>
class item_source<R> {
    using given = typename std::remove_reference_t<R>::value_type;

public:
    /// Of a generator of references a copy: what it yields is valid only until it is asked again.
    using item = std::remove_cv_t<std::remove_reference_t<std::unwrap_reference_t<given>>>;
    static_assert(std::constructible_from<item, given>,
                  "belay: what this generator yields by reference cannot be copied: let it yield objects, or pointers");

    explicit item_source(held<R>& from) noexcept : from_{from} {}
    [[nodiscard]] auto next() noexcept { return from_.get().next(); }

private:
    held<R>& from_;
};

template <class R>
concept item_range = std::ranges::input_range<std::remove_reference_t<R>> || is_async_generator<std::remove_cvref_t<R>>;

template <class R>
using item_of_t = typename item_source<R>::item;

}  // namespace belay::detail
