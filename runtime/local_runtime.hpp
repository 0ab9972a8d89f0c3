// The current-thread flavour: a runtime without worker threads, inside a program that has a loop of its own.
//
//     belay::local_runtime tasks;
//     tasks.spawn(serve);
//     for (;;) {
//         pollfd what[] = {{my_socket, POLLIN, 0}, {tasks.native_handle(), POLLIN, 0}};
//         ::poll(what, 2, -1);                              // or epoll, GLib, Qt: any loop that waits for descriptors
//         if (what[1].revents != 0) tasks.poll();
//         if (what[0].revents != 0) serve_my_socket();
//     }
//
// Or without a loop: tasks.run_until(program()). Tasks run inside poll(), run_until(), run_for() and shutdown() and nowhere
// else, on the thread that calls them; that may be another thread each time, but one at a time.
#pragma once

#include <belay/runtime/detail/run_until.hpp>
#include <belay/runtime/driver.hpp>
#include <belay/runtime/metrics.hpp>
#include <belay/runtime/observer.hpp>
#include <belay/runtime/scope.hpp>
#include <belay/runtime/shutdown_report.hpp>
#include <belay/runtime/task.hpp>

#include <chrono>
#include <concepts>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace belay {

/// Validated by the constructor; a wrong value throws std::invalid_argument that names the field.
struct local_runtime_options {
    /// The label `runtime` of its metrics and reports.
    std::string name = "belay";
    /// automatic: io_uring where it works, else Asio (epoll). `BELAY_IO` in the environment decides for automatic.
    io_backend io = io_backend::automatic;
    /// Threads and queue of spawn_blocking's pool. The threads are made when there is something to do for them.
    unsigned blocking_threads = 64;
    std::size_t blocking_queue = 1024;
    std::chrono::milliseconds blocking_keep_alive{10'000};
    /// What the destructor gives running tasks to end.
    std::chrono::milliseconds shutdown_grace{5'000};
    /// Guardrail policy, e.g. "stall=panic:50ms,lock=log"; BELAY_GUARDRAILS is applied on top of it. While the guardrail `stall`
    /// is on, a watchdog thread looks at the host's thread while that runs tasks; with "stall=off" the runtime has no thread.
    std::string guardrails{};
    /// Microseconds that run_until() and run_for() look for work before they sleep, while I/O is in flight; negative: calibrated
    /// once in the process, 0: never. poll() never waits for anything.
    int spin_us = 0;
};

/// How long one poll() may keep the host. The task that runs when the limit is reached is not interrupted.
struct poll_limits {
    std::size_t max_polls = 1024;  ///< times a task is resumed; at least one is
    std::chrono::nanoseconds max_time = std::chrono::milliseconds{1};  ///< looked at every 8 of them
};

/// What a poll() did.
struct poll_result {
    std::size_t polls = 0;  ///< times a task was resumed
    bool more = false;  ///< a limit was reached: native_handle() is readable at once, so a loop may go on waiting as always
};

/// Owns no worker thread; neither copied nor moved. spawn(), metrics(), name(), native_handle() and whatever wakes a task (a
/// channel, a stop, a join handle) may be used from any thread. run_until(), run_for(), poll(), shutdown() and the destructor
/// *drive* it: only one thread at a time may be in one of them, and none of its own tasks. What waits among them is refused on
/// a worker of another runtime, which it would block. Each of these misuses is a named failure.
///
/// With io_uring the kernel gives up reads of files and pipes that were submitted by a thread that has exited since: a thread
/// that has driven the runtime should outlive the I/O that it started. (Operations on sockets are submitted again.)
class local_runtime {
public:
    /// Throws std::invalid_argument, and std::system_error when descriptors or lockable memory run out.
    explicit local_runtime(local_runtime_options options = {});
    local_runtime(const local_runtime&) = delete;
    local_runtime& operator=(const local_runtime&) = delete;
    /// shutdown(options.shutdown_grace) if that has not been called.
    ~local_runtime();

    /// Runs a task, or the task that a callable returns, and with it whatever else is ready, until that task has ended; sleeps
    /// while nothing is ready. Returns its value, rethrows its error, throws task_stopped if it was stopped, scope_closed after
    /// shutdown(), scope_full when the root scope holds its 1,000,000 tasks. The other tasks stay where they are until the runtime is driven again.
    template <class T>
    T run_until(task<T> root, std::source_location here = std::source_location::current()) {
        detail::run_until_record<T> record{*core_, root_scope(), std::move(root), here};
        return record.run();
    }
    template <std::invocable F>
        requires detail::is_task<std::invoke_result_t<F>>
    decltype(auto) run_until(F&& callable, std::source_location here = std::source_location::current()) {
        auto body = std::forward<F>(callable);  // lives until the task has ended: captures do not dangle
        return run_until(body(), here);
    }
    /// The same, under the name that it has in runtime.
    template <class T>
    decltype(auto) block_on(T&& root, std::source_location here = std::source_location::current()) {
        return run_until(std::forward<T>(root), here);
    }

    /// Runs what is ready and returns: never sleeps, and a steady stream of work does not keep it beyond `limits`. After
    /// shutdown() it does nothing.
    poll_result poll(poll_limits limits = {});
    /// Drives the runtime for `time`, sleeping while nothing is ready. For hosts whose loop has a fixed pace.
    void run_for(std::chrono::nanoseconds time);

    /// A descriptor that is readable (POLLIN) while poll() has something to do: an operation completed, another thread or the
    /// host woke a task, a timer is due, the last poll() reached its limit. Level-triggered, so not for EPOLLET: a host that does not
    /// call poll() finds it readable again. The same one for the life of the runtime, which owns it: the host waits for it and neither
    /// reads nor closes it, and takes it out of its loop before the shutdown. With io_uring it is the thread that has submitted
    /// an operation that posts its completion, on its next way through the kernel: a host waits on the thread that drives. That
    /// can interrupt its epoll_wait(2) with EINTR, without a signal; poll(2) goes on by itself.
    [[nodiscard]] int native_handle() const noexcept;

    /// Spawns into the runtime's root scope, whose policy is `isolate`: an error that no join() takes is counted and reported with the
    /// spawn site. Any thread; native_handle() becomes readable. Throws scope_closed after shutdown has begun. See scope::spawn for
    /// arguments and lifetime.
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
    /// As scope::spawn_on(), into the root scope: there is worker 0 only, which is whoever drives the runtime.
    template <class F, class... Args>
    auto spawn_on(worker_index worker, F&& f, Args&&... args) {
        return root_scope().spawn_on(worker, std::forward<F>(f), std::forward<Args>(args)...);
    }
    /// Any number of arguments, with the place given.
    template <class F, class... Args>
    auto spawn_at(std::source_location at, F&& f, Args&&... args) {
        return root_scope().spawn_at(at, std::forward<F>(f), std::forward<Args>(args)...);
    }

    /// Stops all tasks and drives them until they have ended or the grace has passed; what needs no waiting for is run in any
    /// case, for at most 200 ms. What did not end is abandoned: leaked, counted, reported, never destroyed by force. The blocking
    /// pools that belong to the runtime are closed. Every further call returns the report of the first. In a child process of
    /// fork() it does nothing: the runtime belongs to the parent.
    shutdown_report shutdown(std::chrono::nanoseconds grace);

    /// One: the thread that drives it.
    [[nodiscard]] static constexpr unsigned workers() noexcept { return 1; }
    [[nodiscard]] const std::string& name() const noexcept;
    /// A snapshot for dashboards; takes no lock that a task can hold.
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
