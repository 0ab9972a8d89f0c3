// The runtime: N workers, each with its own queues, timers and driver port, one watchdog thread, and a root scope.
//
//     int main() {
//         belay::runtime runtime;                       // one worker per CPU that the process may use
//         return runtime.block_on(program());
//     }
#pragma once

#include <belay/runtime/detail/block_on.hpp>
#include <belay/runtime/driver.hpp>
#include <belay/runtime/metrics.hpp>
#include <belay/runtime/observer.hpp>
#include <belay/runtime/scope.hpp>
#include <belay/runtime/shutdown_report.hpp>
#include <belay/runtime/task.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <string>

namespace belay {

struct blocking_options;

/// Validated by the constructor; a wrong value throws std::invalid_argument that names the field.
struct runtime_options {
    /// 0: the CPUs that affinity and the cgroup quota allow. At most 256.
    unsigned workers = 0;
    /// The label `runtime` of its metrics and reports.
    std::string name = "belay";
    /// automatic: io_uring where it works, else Asio (epoll). `BELAY_IO` in the environment decides for automatic.
    io_backend io = io_backend::automatic;
    /// Ready work of a stuck worker is taken over within two of these (promise 6). 100 us to 1 s; 0 switches takeover off.
    std::chrono::nanoseconds takeover_tick = std::chrono::microseconds{500};
    /// Threads and queue of spawn_blocking's pool.
    unsigned blocking_threads = 64;
    std::size_t blocking_queue = 1024;
    std::chrono::milliseconds blocking_keep_alive{10'000};
    /// Threads that run tasks in place of workers that are inside block_in_place(), at most; made when needed, and numbered after the
    /// workers. 0: the other workers have to do.
    unsigned max_stand_ins = 8;
    /// What the destructor gives running tasks to end.
    std::chrono::milliseconds shutdown_grace{5'000};
    /// Guardrail policy, e.g. "stall=panic:50ms,lock=log"; BELAY_GUARDRAILS is applied on top of it.
    std::string guardrails{};
    /// Microseconds an idle worker looks for work before it sleeps, while I/O is in flight or another worker runs; negative:
    /// calibrated at start, 0: never.
    int spin_us = -1;
    /// Runs on each worker's thread before its first task: for thread-local set-up, NUMA policy, a profiler's registration. The
    /// constructor waits for all of them (stand-ins begin later, with indices from workers() on: what the hook throws there is reported as
    /// a lost error); if one throws, it ends those that have begun and throws std::runtime_error with what it
    /// was nested in it. May be called on several workers at once.
    std::function<void(unsigned index)> on_worker_start{};
    /// Runs on the same thread after its last task. Not for a worker that had to be abandoned. What it throws is reported as a
    /// lost error.
    std::function<void(unsigned index)> on_worker_stop{};
    /// Binds each worker to one CPU of the affinity mask of the thread that makes the runtime, in turn: more workers than CPUs share
    /// them. For machines that run nothing else: a worker cannot move away from whoever else wants its CPU, and two such programs
    /// take the same CPUs unless their masks differ. The constructor throws std::system_error when that is refused.
    bool pin_workers = false;
    /// What debuggers and top show: "<thread_name>/<index>", of the first part at most 11 characters. Empty: `name`.
    std::string thread_name{};
};

/// Owns threads; neither copied nor moved. All members are thread-safe, but not from inside one of its own tasks where
/// they wait (block_on, shutdown): that is a named failure. Several runtimes live side by side; each can be made and
/// destroyed at any time.
class runtime {
public:
    explicit runtime(runtime_options options = {});
    runtime(const runtime&) = delete;
    runtime& operator=(const runtime&) = delete;
    /// shutdown(options.shutdown_grace) if that has not been called.
    ~runtime();

    /// Runs a task, or the task that a callable returns, on a worker and waits for it. Returns its value, rethrows its error,
    /// throws task_stopped if it was stopped, scope_closed after shutdown(), scope_full when the root scope holds its 1,000,000
    /// tasks. From a thread that is not a worker.
    template <class T>
    T block_on(task<T> root, std::source_location here = std::source_location::current()) {
        detail::block_on_record<T> record{*core_, root_scope(), std::move(root), here};
        return record.run();
    }
    template <std::invocable F>
        requires detail::is_task<std::invoke_result_t<F>>
    decltype(auto) block_on(F&& callable, std::source_location here = std::source_location::current()) {
        auto body = std::forward<F>(callable);  // lives until the task has ended: captures do not dangle
        return block_on(body(), here);
    }

    /// Spawns into the runtime's root scope, whose policy is `isolate`: an error that no join() takes is counted and reported with the
    /// spawn site. Any thread. Throws scope_closed after shutdown has begun. See scope::spawn for arguments and lifetime.
    template <class F>
    auto spawn(F&& f, std::source_location at = std::source_location::current()) {
        return root_scope().spawn_at(at, std::forward<F>(f));
    }
    template <class F, class A>
        requires(!std::same_as<std::remove_cvref_t<A>, std::source_location>)
    auto spawn(F&& f, A&& a, std::source_location at = std::source_location::current()) {
        return root_scope().spawn_at(at, std::forward<F>(f), std::forward<A>(a));
    }
    template <class F, class A, class B>
        requires(!std::same_as<std::remove_cvref_t<B>, std::source_location>)
    auto spawn(F&& f, A&& a, B&& b, std::source_location at = std::source_location::current()) {
        return root_scope().spawn_at(at, std::forward<F>(f), std::forward<A>(a), std::forward<B>(b));
    }
    /// As scope::spawn_on(), into the root scope.
    template <class F, class... Args>
    auto spawn_on(worker_index worker, F&& f, Args&&... args) {
        return root_scope().spawn_on(worker, std::forward<F>(f), std::forward<Args>(args)...);
    }
    /// Any number of arguments, with the place given.
    template <class F, class... Args>
    auto spawn_at(std::source_location at, F&& f, Args&&... args) {
        return root_scope().spawn_at(at, std::forward<F>(f), std::forward<Args>(args)...);
    }

    /// Stops all tasks, waits until they have ended or the grace has passed, ends the threads. What did not end is
    /// abandoned: leaked, counted, reported, never destroyed by force. The blocking pools that belong to the runtime are closed.
    /// Every further call, also a concurrent one, waits for the first and returns its report. In a child process of fork() it
    /// does nothing: the runtime belongs to the parent.
    shutdown_report shutdown(std::chrono::nanoseconds grace);

    [[nodiscard]] unsigned workers() const noexcept;
    [[nodiscard]] const std::string& name() const noexcept;
    /// A snapshot for dashboards; O(workers), takes no lock that a task can hold.
    [[nodiscard]] runtime_metrics metrics() const;
    /// "uring" or "asio", and why.
    [[nodiscard]] std::string_view io_driver() const noexcept;
    [[nodiscard]] std::string_view io_driver_reason() const noexcept;

    [[nodiscard]] detail::runtime_core& core() const noexcept { return *core_; }

private:
    [[nodiscard]] scope& root_scope() const noexcept;
    std::shared_ptr<detail::runtime_core> core_;
};

}  // namespace belay
