// Scopes: a task never outlives the scope that it was spawned into.
//
//     co_await belay::with_scope([&](belay::scope& s) -> belay::task<> {
//         s.spawn(fetch, url_a);
//         s.spawn(fetch, url_b);
//         co_return;
//     });                                   // both have ended and their frames are gone; the first error is rethrown
#pragma once

#include <belay/runtime/detail/deadline.hpp>
#include <belay/runtime/detail/overdue_stops.hpp>
#include <belay/runtime/detail/spawned.hpp>
#include <belay/runtime/detail/timer_entry.hpp>
#include <belay/runtime/join_handle.hpp>
#include <belay/runtime/worker_index.hpp>

#include <atomic>
#include <concepts>
#include <cstddef>
#include <exception>
#include <limits>
#include <source_location>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace belay {

/// What a failing child does to its scope.
enum class on_error : std::uint8_t {
    stop_siblings,  ///< the first error stops the others and is rethrown by with_scope; further ones are as with isolate
    collect,        ///< siblings run on; at the end all errors are thrown as one scope_errors
    isolate         ///< reported with the spawn site if no join() takes it; the scope never fails: for connections, sessions
};

/// Aggregate with defaults, for designated initialisers.
struct scope_options {
    static constexpr std::size_t any_number = 1'000'000;
    std::string_view name = "scope";  ///< for reports; must live as long as the scope (a literal)
    std::size_t max_tasks = any_number;///< spawned and not ended; 1 to 4,000,000,000. Choose one: see the guardrail fan_out
    belay::on_error on_error = belay::on_error::stop_siblings;
    detail::deadline deadline{};      ///< a duration from now or a time point of the steady clock; none by default
};

/// All errors of an `on_error::collect` scope, in the order in which they happened.
class scope_errors : public std::exception {
public:
    explicit scope_errors(std::vector<std::exception_ptr> errors) noexcept : errors_{std::move(errors)} {}
    [[nodiscard]] const char* what() const noexcept override { return "belay: several tasks of a scope failed"; }
    [[nodiscard]] const std::vector<std::exception_ptr>& errors() const noexcept { return errors_; }

private:
    std::vector<std::exception_ptr> errors_;
};

namespace detail {
template <class T>
class scope_body;
class scope_room;
struct deduced;
template <class T, class F, class... Args>
auto make_start(scope& s, F&& f, Args&&... args);
template <class F, class... Args>
class spawn_when_free_awaiter;
struct scope_access;
struct overdue_stop;
class deadlock_search;
class wait_sources;
}  // namespace detail

/// A set of tasks that are joined together. Made by with_scope; handed to its body by reference. spawn and request_stop are
/// thread-safe as long as the scope lives, which a living child or the body guarantees.
class scope final : private detail::group, private detail::stopped_scope {
public:
    using options = scope_options;

    scope(detail::runtime_core& core, const scope_options& o);
    scope(const scope&) = delete;
    scope& operator=(const scope&) = delete;
    ~scope();

    /// Starts f(args...) as a child. The callable and the arguments are moved or copied into the task, so a lambda's captures
    /// live as long as the task does. Never suspends. Throws scope_full at max_tasks, scope_closed after the join,
    /// std::bad_alloc. A child that is spawned into a stopped scope stops at its first suspension.
    template <class F>
    auto spawn(F&& f, std::source_location at = std::source_location::current()) {
        return spawn_at(at, fwd<F>(f));
    }
    template <class F, class A>
        requires(!std::same_as<std::remove_cvref_t<A>, std::source_location>)
    auto spawn(F&& f, A&& a, std::source_location at = std::source_location::current()) {
        return spawn_at(at, fwd<F>(f), fwd<A>(a));
    }
    template <class F, class A, class B>
        requires(!std::same_as<std::remove_cvref_t<B>, std::source_location>)
    auto spawn(F&& f, A&& a, B&& b, std::source_location at = std::source_location::current()) {
        return spawn_at(at, fwd<F>(f), fwd<A>(a), fwd<B>(b));
    }
    template <class F, class A, class B, class C>
        requires(!std::same_as<std::remove_cvref_t<C>, std::source_location>)
    auto spawn(F&& f, A&& a, B&& b, C&& c, std::source_location at = std::source_location::current()) {
        return spawn_at(at, fwd<F>(f), fwd<A>(a), fwd<B>(b), fwd<C>(c));
    }
    /// Any number of arguments, with the place given: spawn_at(std::source_location::current(), f, a, b, c, d, ...).
    template <class F, class... Args>
    auto spawn_at(std::source_location at, F&& f, Args&&... args) {
        reserve_or_throw();
        return spawn_reserved(at, fwd<F>(f), fwd<Args>(args)...);
    }

    /// As spawn(), but the task is pinned to one worker: that thread alone runs it, from its first instruction to its last, and destroys
    /// its frames and arguments. (A result that nobody takes dies with the join_handle or with the task, whichever is last.) The same
    /// holds for branches, timeouts, maps and scope bodies that are opened inside; what they spawn is not pinned. Tasks that are
    /// pinned to one worker never run at the same time, and share thread-local state. They wait while their worker is busy: nobody takes
    /// them over. Moreover throws std::out_of_range: the runtime has no such worker.
    ///
    ///     s.spawn_on(shard, serve_shard, std::move(requests));
    template <class F, class... Args>
    auto spawn_on(worker_index worker, F&& f, Args&&... args) {
        auto home = home_of(worker);
        reserve_or_throw();
        return spawn_reserved({worker.at, home}, fwd<F>(f), fwd<Args>(args)...);
    }

    /// As spawn(), but returns an empty handle at max_tasks or after the join.
    template <class F>
    auto try_spawn(F&& f, std::source_location at = std::source_location::current()) {
        return try_spawn_at(at, fwd<F>(f));
    }
    template <class F, class A>
        requires(!std::same_as<std::remove_cvref_t<A>, std::source_location>)
    auto try_spawn(F&& f, A&& a, std::source_location at = std::source_location::current()) {
        return try_spawn_at(at, fwd<F>(f), fwd<A>(a));
    }
    template <class F, class A, class B>
        requires(!std::same_as<std::remove_cvref_t<B>, std::source_location>)
    auto try_spawn(F&& f, A&& a, B&& b, std::source_location at = std::source_location::current()) {
        return try_spawn_at(at, fwd<F>(f), fwd<A>(a), fwd<B>(b));
    }
    template <class F, class A, class B, class C>
        requires(!std::same_as<std::remove_cvref_t<C>, std::source_location>)
    auto try_spawn(F&& f, A&& a, B&& b, C&& c, std::source_location at = std::source_location::current()) {
        return try_spawn_at(at, fwd<F>(f), fwd<A>(a), fwd<B>(b), fwd<C>(c));
    }
    /// Any number of arguments, with the place given.
    template <class F, class... Args>
    auto try_spawn_at(std::source_location at, F&& f, Args&&... args) {
        using handle = decltype(spawn_reserved(at, fwd<F>(f), fwd<Args>(args)...));
        if (reserve() != reservation::granted) return handle{};
        return spawn_reserved(at, fwd<F>(f), fwd<Args>(args)...);
    }

    /// Awaitable: as spawn(), but suspends while the scope holds max_tasks tasks. First come, first served. On stop: nothing is
    /// spawned. Arguments are moved into the operation at once.
    template <class F, class... Args>
    auto spawn_when_free(F&& f, Args&&... args) {
        return detail::spawn_when_free_awaiter<std::decay_t<F>, std::decay_t<Args>...>{*this, fwd<F>(f), fwd<Args>(args)...};
    }

    /// Awaitable: spawns f(belay::started<T>, args...) and suspends until the child calls ready(value) on its first argument; then
    /// returns the value, and the child lives on in the scope. An error of the child before that is thrown here and is not the scope's;
    /// never_ready if it ends without one, or cannot even begin (no memory, an argument whose move throws: the error is the scope's
    /// then), task_stopped if it is stopped. Throws scope_full, scope_closed, std::bad_alloc: nothing was
    /// spawned. On stop of the awaiting task: if it comes first, nothing is spawned, else the child lives on unless the scope was
    /// stopped, and its errors are the scope's. T is named where f is a template: start<T>(f, ...). Arguments as for spawn();
    /// moved into the operation at once.
    template <class T = detail::deduced, class F, class... Args>
    auto start(F&& f, Args&&... args) {
        return detail::make_start<T>(*this, fwd<F>(f), fwd<Args>(args)...);
    }

    /// Stops all children and the body. with_scope then returns normally (task<>) or throws task_stopped (task<T>).
    void request_stop() noexcept { stop_children(stop_reason::requested); }
    [[nodiscard]] bool stop_requested() const noexcept { return node.stopped(); }
    /// Children that have not ended; from the recent past.
    [[nodiscard]] std::size_t size() const noexcept { return children_of(pending_.load(std::memory_order_relaxed)); }
    [[nodiscard]] std::string_view name() const noexcept { return options_.name; }

private:
    using detail::group::request_stop;  // the operation's side: called by a stopper of an enclosing scope
    friend class detail::child_record;
    friend struct detail::scope_access;
    friend class detail::scope_room;
    friend class detail::runtime_core;
    friend class detail::deadlock_search;
    template <class>
    friend class detail::scope_body;
    template <class, class...>
    friend class detail::spawn_when_free_awaiter;

    enum class reservation : std::uint8_t { granted, full, closed };
    struct place {
        place(std::source_location spawned, std::uint16_t worker = detail::record::any_worker) noexcept  // NOLINT: implicit
            : at{spawned}, home{worker} {}
        std::source_location at;
        std::uint16_t home;  // see record::home
    };
    template <class X>
    static constexpr X&& fwd(std::remove_reference_t<X>& x) noexcept {
        return static_cast<X&&>(x);
    }

    template <class F, class... Args>
    auto spawn_reserved(place at, F&& f, Args&&... args) {
        if constexpr (detail::is_task<std::remove_cvref_t<F>>) {
            using T = typename std::remove_cvref_t<F>::value_type;
            static_assert(!std::is_lvalue_reference_v<F>, "belay: spawn takes a task over: write scope.spawn(std::move(t))");
            if (const auto* made = detail::task_access::made_by_lambda(f)) report_borrowed_captures(*made, at.at);
            return launch<detail::spawned<T, detail::given_task<T>>>(at, detail::given_task<T>{std::move(f)});
        } else {
            using T = typename detail::spawn_traits<std::decay_t<F>, std::decay_t<Args>...>::value_type;
            return launch<detail::spawned<T, std::decay_t<F>, std::decay_t<Args>...>>(at, fwd<F>(f), fwd<Args>(args)...);
        }
    }
    template <class R, class... Args>
    auto launch(place in, Args&&... args) {
        R* child = nullptr;
        try {
            child = new R{*this, in.at, fwd<Args>(args)...};
        } catch (...) {
            give_back();
            throw;
        }
        child->home = in.home;
        join_handle<typename R::value_type> handle{*child};
        adopt(*child);
        return handle;
    }

    // ---- scope.cpp ---------------------------------------------------------------------------------------------
    // Not over-aligned: the first one lies inside a coroutine frame. Padded, so that no two locks share a cache line.
    struct shard {
        detail::spin_lock lock;
        detail::child_record* head = nullptr;
        std::byte padding[64 - 2 * sizeof(void*)];
    };
    class deadline_timer final : public detail::timer_entry {
    public:
        explicit deadline_timer(scope& s) noexcept : scope_{s} {}
        void fire() noexcept override;

    private:
        scope& scope_;
    };

    // Who is in the scope, in one word: children in the lower half, a bit for the running body (for the root scope: for the
    // runtime), one for an armed deadline timer, and one that says that somebody waits for room. Zero: the scope is closed.
    static constexpr std::uint64_t child_unit = 1;
    static constexpr std::uint64_t body_unit = std::uint64_t{1} << 32;
    static constexpr std::uint64_t timer_unit = std::uint64_t{1} << 33;
    static constexpr std::uint64_t closed_bit = std::uint64_t{1} << 34;  // the root scope's, once it has been joined
    static constexpr std::uint64_t waiters_bit = std::uint64_t{1} << 63;
    static constexpr std::size_t children_of(std::uint64_t pending) noexcept { return pending & (body_unit - 1); }

    /// record::home of tasks that are pinned to it. Throws std::out_of_range.
    std::uint16_t home_of(worker_index worker) const;
    reservation reserve() noexcept;
    void report_fan_out() noexcept;
    void reserve_or_throw();
    void give_back() noexcept;
    /// The root scope, at shutdown: no reservation is granted any more. The first one refuses while there are children.
    bool close_if_empty() noexcept;
    void close() noexcept { pending_.fetch_or(closed_bit, std::memory_order_relaxed); }
    void adopt(detail::child_record& child) noexcept;
    detail::record* child_ended(detail::child_record& child, detail::outcome how, const std::exception_ptr* error) noexcept;
    detail::record* leave(std::uint64_t unit) noexcept;
    void unlink(detail::scope_room& room) noexcept;
    /// `child`: of whom, null for the body.
    void failed(const std::exception_ptr& error, const detail::record& from, detail::child_record* child) noexcept;
    void keep_unseen(detail::child_record& child, const std::exception_ptr& error) noexcept;
    void add_children(detail::stop_walk& walk) noexcept override;
    [[nodiscard]] const char* what() const noexcept override { return "scope"; }
    void waits_for(detail::wait_sources& out) override;
    std::size_t list_children(detail::wait_sources& out, bool below);
    shard& shard_at(std::uint16_t index) noexcept;
    /// Calls f(record) for at most `most` children while each of them is held where it is.
    template <class F>
    void for_each_pinned(std::size_t most, F&& f);
    void open_under(detail::record& parent) noexcept;
    bool suspend_parent(detail::record& parent) noexcept;
    void describe_overdue(detail::overdue_stop& out) noexcept;
    void report_borrowed_captures(std::source_location made, std::source_location spawned) const noexcept;
    [[nodiscard]] bool overran() const noexcept;
    void throw_outcome();

    scope_options options_;
    detail::runtime_core& core_;
    std::atomic<std::uint64_t> pending_{body_unit};
    shard first_;
    std::atomic<shard*> shards_{nullptr};
    detail::record* body_ = nullptr;  // set before anybody else can see the scope
    detail::spin_lock lock_;  // guards the waiters and the errors
    detail::scope_room* waiters_head_ = nullptr;
    detail::scope_room* waiters_tail_ = nullptr;
    std::exception_ptr first_error_;
    std::vector<std::exception_ptr> errors_;
    std::atomic<bool> any_stopped_{false};
    std::atomic<std::int64_t> stopped_at_ns_{0};  // for the metrics; 0: not stopped
    bool is_root_ = true;  // until it is opened under a parent
    bool own_deadline_ = false;
    std::atomic<bool> told_of_fan_out_{false};
    deadline_timer timer_{*this};
};

}  // namespace belay

#include <belay/runtime/detail/scope_impl.hpp>  // with_scope, spawn_when_free
#include <belay/runtime/detail/start_impl.hpp>  // start
