// strand: what runs on it never runs concurrently, in the order in which it came, without a lock that anybody could hold wrongly.
//
//     belay::strand ledger;
//     auto balance = co_await ledger.run([&] { return accounts[id] += amount; });       // a plain function
//     co_await ledger.run([&]() -> belay::task<> { co_await log.append(entry); });      // a coroutine
//
// For state that many tasks use: touch it only in functions that run on its strand. Against a mutex: no guard to forget or to
// hold too long, and the functions of many callers run one after the other on one worker, where the state is in the cache.
//
//  - Serialised: of all that runs on one strand, one thing runs at a time. First come, first served.
//  - Ordered: what a caller did before run() happens before its function; each function happens before the next one and before
//    its own caller goes on. So the state needs no atomics and no locks.
//  - Awaited: run() returns the function's value, or rethrows its error to its caller and to nobody else.
//  - A coroutine keeps the strand until it has ended, across its suspensions. So no other function can come between two of its
//    lines, and an invariant that it breaks and mends is never seen broken. (Asio's strands let others in while a coroutine is
//    suspended; if that is what you want, run() the steps one by one.) While it waits everybody waits: do not wait there for
//    what needs the same strand. run() inside it on the same strand would wait for itself and is a named misuse.
//  - Fair: a caller that finds the strand free runs its function here and now, without suspending. When others came meanwhile
//    it runs their functions too, each under its own task's name; after 16 of them the strand moves on through the scheduler. The
//    function of a pinned task runs on that task's worker.
//
// Costs two atomic operations when nobody else is there, and neither a thread nor an allocation (a coroutine: its frames).
#pragma once

#include <belay/runtime/detail/result_slot.hpp>
#include <belay/runtime/detail/strand_core.hpp>
#include <belay/runtime/scope.hpp>
#include <belay/runtime/task.hpp>

#include <coroutine>
#include <exception>
#include <type_traits>
#include <utility>

namespace belay {
namespace detail {

template <class F>
class [[nodiscard("belay: write co_await strand.run(...)")]] strand_call final : public strand_job, public native_awaitable {
    using value = std::invoke_result_t<F&>;

public:
    strand_call(strand_core& core, F&& f) noexcept(std::is_nothrow_move_constructible_v<F>)
        : strand_job{core, kind::function}, function_(std::move(f)) {}
    strand_call(strand_call&& other) noexcept(std::is_nothrow_move_constructible_v<F>)
        : strand_job{std::move(other)}, function_(std::move(other.function_)) {}

    bool await_ready() noexcept {
        if (!try_take()) return false;
        execute();
        give_back();
        return rested();
    }
    template <class P>
    bool await_suspend(std::coroutine_handle<P> awaiting) noexcept {
        static_assert(task_promise<P>, "belay: strand.run can be awaited only inside a belay::task");
        return suspend_for(*awaiting.promise().rec);
    }
    value await_resume() {
        if (take_over()) {
            execute();
            give_back();
        }
        return result_.take();
    }

private:
    void execute() noexcept override {
        try {
            if constexpr (std::is_void_v<value>) {
                function_();
                result_.set_value();
            } else {
                result_.set_value(function_());
            }
        } catch (...) {
            result_.set_error(std::current_exception());
        }
    }
    F function_;
    result_slot<value> result_;
};

/// Waits for the strand itself.
class [[nodiscard]] strand_turn final : public strand_job, public native_awaitable {
public:
    explicit strand_turn(strand_core& core) noexcept : strand_job{core, kind::coroutine} {}
    bool await_ready() noexcept { return try_take() && rested(); }
    template <task_promise P>
    bool await_suspend(std::coroutine_handle<P> awaiting) noexcept {
        return suspend_for(*awaiting.promise().rec);
    }
    strand_hold await_resume() noexcept { return strand_hold{*core_}; }

private:
    void execute() noexcept override {}
};

/// The body is a branch under a node of its own, as in timeout(): by that node a nested run() is found out.
template <class T, class F>
task<T> run_on_strand(strand_core& on, F callable) {
    record& parent = co_await open_scope{};
    auto hold = co_await strand_turn{on};
    scope s{parent.core(), {.name = "strand"}};
    scope_access::open(s, parent);
    on.set_coroutine(parent, scope_access::node(s));
    auto body = [&callable](scope&) -> task<T> { return callable(); };
    co_return co_await scope_body<T>{s, parent, site_of_caller(parent), body};
}

}  // namespace detail

/// Thread-safe; usable from tasks of any runtime. It must outlive its callers: destroyed while something runs or waits on it, it
/// ends the process with a sentence.
class strand {
public:
    strand() = default;
    strand(const strand&) = delete;
    strand& operator=(const strand&) = delete;

    /// Awaitable: runs f() when nothing else runs on this strand. f is a plain function, a callable that returns a task, or a task;
    /// it is moved in. Returns its value or rethrows its error.
    /// On stop: if its turn has not come, it leaves the queue and does not happen. A plain function whose turn has come runs, and
    /// its value or error is delivered; a coroutine is stopped inside like any awaited task, and gives the strand back.
    template <class F>
    auto run(F&& f) {
        using callable = std::decay_t<F>;
        if constexpr (detail::is_task<callable>) {
            static_assert(!std::is_lvalue_reference_v<F>, "belay: run takes a task over: write strand.run(std::move(t))");
            using value = typename callable::value_type;
            return detail::run_on_strand<value, detail::given_task<value>>(core_, detail::given_task<value>{std::move(f)});
        } else {
            static_assert(std::is_invocable_v<callable&>,
                          "belay: strand.run(f) calls f(): capture what the function needs in a lambda");
            using result = std::invoke_result_t<callable&>;
            if constexpr (detail::is_task<result>) {
                return detail::run_on_strand<typename result::value_type, callable>(core_, std::forward<F>(f));
            } else {
                return detail::strand_call<callable>{core_, callable(std::forward<F>(f))};
            }
        }
    }

private:
    detail::strand_core core_;
};

}  // namespace belay
