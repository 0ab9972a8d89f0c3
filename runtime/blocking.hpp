// Blocking functions off the workers: spawn_blocking and blocking_pool.
//
//     auto hash = co_await belay::spawn_blocking([path] { return sha256_of_file(path); });
//     belay::blocking_pool database{runtime, {.name = "db", .max_threads = 8, .max_queued = 256}};
//     auto rows = co_await database.run([&] { return query(connection); });
//
// Bounded on both sides: at most max_threads functions run, at most max_queued wait; beyond that the caller is suspended.
// On stop: a function that has not started never will; one that has started is waited for, and its value or error is
// delivered (a thread cannot be stopped from outside).
#pragma once

#include <belay/runtime/blocking_options.hpp>
#include <belay/runtime/detail/blocking_job.hpp>
#include <belay/runtime/detail/result_slot.hpp>
#include <belay/runtime/metrics.hpp>
#include <belay/runtime/operation.hpp>

#include <concepts>
#include <coroutine>
#include <memory>
#include <type_traits>
#include <utility>

namespace belay {

class local_runtime;
class runtime;

namespace detail {

/// The pool that a runtime's spawn_blocking uses.
blocking_core& default_pool(runtime_core& core) noexcept;

template <class F>
class [[nodiscard("belay: write co_await belay::spawn_blocking(...)")]] blocking_call final : public blocking_operation,
                                                                                              public native_awaitable {
    using value = std::invoke_result_t<F&>;

public:
    blocking_call(blocking_core* pool, F&& f) : blocking_operation{pool}, function_(std::move(f)) {}
    blocking_call(blocking_call&& other) noexcept(std::is_nothrow_move_constructible_v<F>)
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

}  // namespace detail

/// A bulkhead: its own threads and its own queue. Thread-safe. Destroying it waits for the functions that run; no task may
/// be waiting in it then (destroy it after the scope that uses it).
class blocking_pool {
public:
    blocking_pool(runtime& rt, const blocking_options& options);
    blocking_pool(local_runtime& rt, const blocking_options& options);
    blocking_pool(detail::runtime_core& core, const blocking_options& options);
    blocking_pool(const blocking_pool&) = delete;
    blocking_pool& operator=(const blocking_pool&) = delete;
    ~blocking_pool();

    /// Awaitable: runs f() on one of the pool's threads and returns its value or rethrows its error. f is moved in; what it
    /// refers to must outlive the await. Suspends while the queue is full. On stop: see above.
    template <std::invocable F>
    auto run(F&& f) {
        return detail::blocking_call<std::decay_t<F>>{core_.get(), std::decay_t<F>(std::forward<F>(f))};
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
template <std::invocable F>
auto spawn_blocking(F&& f) {
    return detail::blocking_call<std::decay_t<F>>{nullptr, std::decay_t<F>(std::forward<F>(f))};
}

}  // namespace belay
