// Blocking functions off the workers: spawn_blocking and blocking_pool.
//
//     auto hash = co_await belay::spawn_blocking([path] { return sha256_of_file(path); });
//     belay::blocking_pool database{runtime, {.name = "db", .max_threads = 8, .max_queued = 256}};
//     auto rows = co_await database.run([&] { return query(connection); });
//
// For functions that wait: files, databases, libraries that know no async. What computes for long goes to a cpu_pool, which is
// no larger than the machine; what computes for a few hundred microseconds stays in the task, with co_await checkpoint() in its
// loops.
//
// Bounded on both sides: at most max_threads functions run, at most max_queued wait; beyond that the caller is suspended, or
// refused (when_full::reject), and max_wait limits how long a function waits for its start:
//
//     auto rows = co_await database.run(query, {.when_full = belay::when_full::reject, .max_wait = 50ms});
//
// On stop: a function that has not started never will; one that has started is waited for, and its value or error is
// delivered (a thread cannot be stopped from outside). A function that takes a std::stop_token hears of the stop:
//
//     co_await belay::spawn_blocking([&](std::stop_token stop) { while (!stop.stop_requested() && more()) work(); });
#pragma once

#include <belay/runtime/blocking_error.hpp>
#include <belay/runtime/blocking_options.hpp>
#include <belay/runtime/detail/blocking_job.hpp>
#include <belay/runtime/detail/result_slot.hpp>
#include <belay/runtime/metrics.hpp>
#include <belay/runtime/operation.hpp>
#include <belay/runtime/task.hpp>

#include <coroutine>
#include <exception>
#include <memory>
#include <stop_token>
#include <type_traits>
#include <utility>

namespace belay {

class local_runtime;
class runtime;
class simulation;

namespace detail {

/// The pool that a runtime's spawn_blocking uses.
blocking_core& default_pool(runtime_core& core) noexcept;

/// What a pool may run: f(), or f(std::stop_token) as std::jthread would prefer it. With sentences for what it may not.
template <class F>
struct blocking_traits {
    static constexpr bool takes_token = std::is_invocable_v<F&, std::stop_token>;
    static_assert(takes_token || std::is_invocable_v<F&>,
                  "belay: a pool runs f() or f(std::stop_token), and this callable takes something else: capture what it needs");
    using value_type =
        typename std::conditional_t<takes_token, std::invoke_result<F&, std::stop_token>, std::invoke_result<F&>>::type;
    static_assert(!is_task<std::remove_cvref_t<value_type>>,
                  "belay: a pool runs plain functions, and this one returns a belay::task, which would not run there: co_await "
                  "it directly, or scope.spawn(f)");
};

/// Tells a running function that its task was asked to stop.
class function_stop final : public after_walk {
public:
    [[nodiscard]] std::stop_token token() const noexcept { return source_.get_token(); }
    void run() noexcept override { source_.request_stop(); }

private:
    std::stop_source source_;
};
struct no_function_stop {};

template <class F>
class [[nodiscard("belay: write co_await belay::spawn_blocking(...), or co_await pool.run(...)")]] blocking_call final
    : public blocking_operation,
      public native_awaitable {
    using traits = blocking_traits<F>;
    using value = typename traits::value_type;

public:
    blocking_call(blocking_core* pool, F&& f, const blocking_call_options& options)
        : blocking_operation{pool, options}, function_(std::move(f)) {}
    blocking_call(blocking_call&& other) noexcept(std::is_nothrow_move_constructible_v<F> && !traits::takes_token)
        : blocking_operation{std::move(other)}, function_(std::move(other.function_)) {}

    static bool await_ready() noexcept { return false; }
    template <class P>
    bool await_suspend(std::coroutine_handle<P> awaiting) noexcept {
        static_assert(task_promise<P>,
                      "belay: spawn_blocking can be awaited only inside a belay::task; a blocking function "
                      "in other code needs no pool");
        record& rec = *awaiting.promise().rec;
        choose_pool(rec);
        return !suspend_on(rec) || start();
    }
    value await_resume() {
        if (refused()) throw_refused();
        return result_.take();
    }

private:
    void execute() noexcept override {
        try {
            if constexpr (std::is_void_v<value>) {
                call();
                result_.set_value();
            } else {
                result_.set_value(call());
            }
        } catch (...) {
            result_.set_error(std::current_exception());
        }
    }
    value call() {
        if constexpr (traits::takes_token) {
            return function_(stop_.token());
        } else {
            return function_();
        }
    }
    after_walk* stop_of_function() noexcept override {
        if constexpr (traits::takes_token) {
            return &stop_;
        } else {
            return nullptr;
        }
    }

    F function_;
    result_slot<value> result_;
    [[no_unique_address]] std::conditional_t<traits::takes_token, function_stop, no_function_stop> stop_;
};

}  // namespace detail

/// A bulkhead: its own threads and its own queue. Thread-safe. Destroying it waits for the functions that run; no task may
/// be waiting in it then (destroy it after the scope that uses it).
class blocking_pool {
public:
    blocking_pool(runtime& rt, const blocking_options& options);
    blocking_pool(local_runtime& rt, const blocking_options& options);
    blocking_pool(simulation& sim, const blocking_options& options);
    blocking_pool(detail::runtime_core& core, const blocking_options& options);
    blocking_pool(const blocking_pool&) = delete;
    blocking_pool& operator=(const blocking_pool&) = delete;
    ~blocking_pool();

    /// Awaitable: runs f(), or f(std::stop_token), on one of the pool's threads and returns its value or rethrows its error. f is
    /// moved in; what it refers to must outlive the await. Suspends while the queue is full. Throws blocking_queue_full,
    /// blocking_wait_exceeded (see blocking_call_options), std::system_error when the pool is closed or cannot make a thread;
    /// f has not run then. std::invalid_argument for a max_wait that is not positive. On stop: see above; std::stop_callbacks of
    /// the token run on the thread that stops the task, for a deadline a worker's or the watchdog's, so they must not block. A
    /// token costs an allocation.
    template <class F>
    auto run(F&& f, const blocking_call_options& options = {}) {
        return detail::blocking_call<std::decay_t<F>>{core_.get(), std::decay_t<F>(std::forward<F>(f)), options};
    }

    [[nodiscard]] blocking_pool_metrics metrics() const;
    [[nodiscard]] detail::blocking_core& core() const noexcept { return *core_; }

    /// For the runtime's shutdown: ends idle threads, waits for running functions until the deadline, then abandons the rest.
    /// Returns how many threads were abandoned.
    std::size_t close(std::int64_t deadline_ns) noexcept;

private:
    std::shared_ptr<detail::blocking_core> core_;
};

/// As blocking_pool::run on the runtime's own pool (runtime_options.blocking_threads and .blocking_queue).
template <class F>
auto spawn_blocking(F&& f, const blocking_call_options& options = {}) {
    return detail::blocking_call<std::decay_t<F>>{nullptr, std::decay_t<F>(std::forward<F>(f)), options};
}

}  // namespace belay
