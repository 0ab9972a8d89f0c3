// The third flavour: a runtime for tests, in which the seed decides what happens next and time costs nothing.
//
//     belay::simulation sim{{.seed = 42}};
//     sim.block_on(program());                       // the same code that runs in production
//
// One thread is all of its workers. At each step it chooses among what could happen next: a task that is ready, a timer that is due, a
// function of a blocking pool, an event of the simulated network. Each operation of a task is a step, also one that need
// not wait: the places where another worker could come in between. Time stands still while something is ready (but for
// `step_time`), and jumps to the next timer when nothing is: an hour takes as long as what happens in it. When nothing can happen
// any more, the tasks that are left have a deadlock, and it is reported at once.
//
// The same seed gives the same run, as long as the program itself is deterministic: it must not depend on addresses, other
// threads, std::random_device, or clocks other than belay's. (std::chrono::steady_clock goes on as always, unless the test kit is linked.)
// See tests/kit/explore.hpp for many seeds at once.
#pragma once

#include <belay/runtime/detail/clock.hpp>
#include <belay/runtime/detail/simulated_root.hpp>
#include <belay/runtime/metrics.hpp>
#include <belay/runtime/scope.hpp>
#include <belay/runtime/shutdown_report.hpp>
#include <belay/runtime/simulation_options.hpp>
#include <belay/runtime/task.hpp>

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <source_location>
#include <stdexcept>
#include <string>
#include <vector>

namespace belay {

/// The program did not end: nothing can happen any more, or it took too many steps. what() lists its tasks and what each waits on.
class simulation_error : public std::runtime_error {
public:
    enum class cause : std::uint8_t { deadlock, too_many_steps };
    simulation_error(cause why, const std::string& text) : std::runtime_error{text}, cause_{why} {}
    [[nodiscard]] cause why() const noexcept { return cause_; }

private:
    cause cause_;
};

/// Lives on the thread that makes it, which alone may use it; from the constructor to the destructor belay's clock on this thread is the
/// simulation's, so it can have only one, and no other runtime can be driven or shut down on it. Its threads are simulated: block_in_place() runs its
/// function as it is, spawn_blocking runs its function on the same thread, whenever the seed says that it ends; such a function
/// must not wait for a task, nor for a stop: what its std::stop_token says does not change while it runs.
class simulation {
public:
    /// Throws std::invalid_argument, and std::logic_error on a thread that has a simulation, or is a worker.
    explicit simulation(simulation_options options = {});
    simulation(const simulation&) = delete;
    simulation& operator=(const simulation&) = delete;
    /// shutdown(options.shutdown_grace) if that has not been called.
    ~simulation();

    /// Runs a task, or the task that a callable returns, and with it all others, until that task has ended. Returns its value, rethrows its
    /// error, throws task_stopped if it was stopped, scope_closed after shutdown(), simulation_error if it can never end; then it is
    /// stopped, and if that does not end it, it is leaked (promise 10) and no task runs any more. Not inside one of its tasks.
    template <class T>
    T block_on(task<T> root, std::source_location here = std::source_location::current()) {
        auto made = std::make_unique<detail::simulated_root<T>>(root_scope(), std::move(root), here);
        made->enter_scope();
        // From here on it is one of the runtime's tasks, and if it cannot be ended it stays that.
        auto* record = made.release();
        program_ = record;
        program_stopped_ = false;
        auto error = drive(record->done());
        if (record->done()) made.reset(record);
        if (error) throw *error;
        return record->take_result();
    }
    template <std::invocable F>
        requires detail::is_task<std::invoke_result_t<F>>
    decltype(auto) block_on(F&& callable, std::source_location here = std::source_location::current()) {
        auto body = std::forward<F>(callable);  // lives until the task has ended: captures do not dangle
        return block_on(body(), here);
    }
    /// Stops the task that block_on() runs; for on_step, outside of all tasks. False: there is none.
    bool stop_program() noexcept;
    /// The program of the last block_on() was stopped by that, or because it could never end.
    [[nodiscard]] bool program_was_stopped() const noexcept { return program_stopped_; }
    /// For on_step: the function in which the last step has suspended a task is destroyed at this await, as if `error` had come out of it and it had
    /// not caught it; its callers get the exception. Not if what it waits for comes first. False: the step has suspended none, or a generator,
    /// or one that waits for tasks of its own.
    bool fail_task(const std::exception_ptr& error);

    /// As in the other flavours: into the root scope, whose policy is `isolate`. They run inside block_on() and shutdown().
    template <class F>
    auto spawn(F&& f, std::source_location at = std::source_location::current()) {
        return root_scope().spawn_at(at, std::forward<F>(f));
    }
    template <class F, class... Args>
    auto spawn_at(std::source_location at, F&& f, Args&&... args) {
        return root_scope().spawn_at(at, std::forward<F>(f), std::forward<Args>(args)...);
    }
    template <class F, class... Args>
    auto spawn_on(worker_index worker, F&& f, Args&&... args) {
        return root_scope().spawn_on(worker, std::forward<F>(f), std::forward<Args>(args)...);
    }

    /// Stops all tasks and steps until they have ended or the grace has passed, in simulated time. Every further call returns the report of
    /// the first.
    shutdown_report shutdown(std::chrono::nanoseconds grace);

    /// One of the numbers below `count`, by the seed: the time of a crash, which request comes next. A choice of the schedule like any
    /// other, of which 0 is the harmless one.
    [[nodiscard]] std::uint32_t draw(std::uint32_t count);

    /// Since the simulation began.
    [[nodiscard]] std::chrono::nanoseconds elapsed() const noexcept;
    [[nodiscard]] std::size_t steps() const noexcept;
    /// What repeats this run: options.seed, and this as options.replay.
    [[nodiscard]] const sim_schedule& made() const noexcept;
    /// A hash of all steps: equal for runs that did the same.
    [[nodiscard]] std::uint64_t fingerprint() const noexcept;
    /// All steps so far, if options.trace.
    [[nodiscard]] const std::vector<sim_step>& trace() const noexcept;
    /// One line for each task that has not ended: what it is, where it was spawned, what it waits on and where.
    [[nodiscard]] std::string tasks() const;

    [[nodiscard]] unsigned workers() const noexcept;
    [[nodiscard]] const std::string& name() const noexcept;
    [[nodiscard]] runtime_metrics metrics() const;
    [[nodiscard]] detail::runtime_core& core() const noexcept { return *core_; }

private:
    [[nodiscard]] scope& root_scope() const noexcept;
    std::optional<simulation_error> drive(const bool& done);

    std::unique_ptr<detail::simulator> made_sim_;  // until the core has it
    detail::simulator& sim_;
    std::optional<detail::virtual_time> time_;
    std::size_t max_steps_;
    std::shared_ptr<detail::runtime_core> core_;
    detail::child_record* program_ = nullptr;
    bool program_stopped_ = false;
};

}  // namespace belay
