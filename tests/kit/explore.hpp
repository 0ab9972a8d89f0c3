// Many simulations of one program: which interleaving breaks it, and the simplest one that still does.
//
//     auto result = kit::explore({.seeds = 1000}, [](simulation&) -> task<> { co_await transfer_between_two_accounts(); });
//     if (result.failure) std::puts(result.failure->text().c_str());
//
// In a GoogleTest: BELAY_TEST_SIM(Suite, Name) { ... }, see gtest.hpp.
#pragma once

#include <belay/runtime/simulation.hpp>
#include <belay/runtime/task.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace belay::kit {

/// Makes the program's task for one run: everything that it shares with other runs is a mistake. Called on the thread that drives.
using program = std::function<task<>(simulation&)>;

/// What is wrong with a run that has ended, or empty. Called after the program has ended and all tasks are gone.
using verdict = std::function<std::string()>;

struct explore_options {
    /// Runs, beginning with the seed of `sim`. 0: what BELAY_SEEDS in the environment says, or 100.
    std::size_t seeds = 0;
    simulation_options sim{};  ///< of each run. `guardrails` empty: whatever a guardrail finds is a failure, but for lost errors
    /// Looked at after each run, beside what is always looked at: the program's error, tasks, timers, operations and descriptors that
    /// are left, reports of guardrails.
    verdict check{};
    bool shrink = true;  ///< makes the first failure simpler
    std::size_t shrink_runs = 2'000;  ///< at most, for that; fewer for a program that does not end, because each takes long
    /// Runs each seed twice and fails if the two differ: then the program depends on something that is not simulated. Otherwise only the
    /// first seed is.
    bool twice = false;
    /// Of real time: a step that takes longer, because a task computes for ever or blocks the thread, ends the process, which tells the
    /// seed. At least a second.
    std::chrono::seconds step_limit{60};
    unsigned processes = 1;  ///< runs seeds in so many children; the program must not need the parent's threads
};

/// Why a run failed. Two failures are the same if these are. A failure that does not come again when its run is repeated is
/// not_deterministic, and its text begins with that.
enum class failure_kind : std::uint8_t { none, error, deadlock, too_many_steps, leak, guardrail, check, not_deterministic };

/// A run that went wrong.
struct failed_run {
    failure_kind kind = failure_kind::none;
    std::string what;
    std::uint64_t seed = 0;
    sim_schedule schedule;  ///< with it the run failed a second time, unless the program is not deterministic
    std::size_t steps = 0;
    std::size_t choices_before = 0;  ///< before it was made simpler
    std::size_t shrink_runs = 0;  ///< that made it simpler
    bool simple = false;  ///< no choice of `schedule` can be left out: each was tried
    std::size_t place = 0;  ///< the step after which it was stopped, or failed, by stop_everywhere() and fail_everywhere()
    std::vector<sim_step> trace;  ///< of the second time

    /// What happened, how to repeat it, and each step: those at which somebody interfered are marked.
    [[nodiscard]] std::string text() const;
};

struct exploration {
    std::size_t runs = 0;  ///< without those that made it simpler
    std::size_t steps = 0;
    std::optional<failed_run> failure;
};

/// Runs the program under each seed until one fails. An error is a failure, also task_stopped if nobody has called stop_program() (in
/// on_step). Tasks of sim.spawn() that are left are stopped after the program; they are a failure if they do not end. Blocks; the thread
/// must have no simulation, and one thread of the process explores at a time.
/// `BELAY_SEED=n` in the environment runs that seed alone, with `BELAY_SCHEDULE="3:1 7:2"` exactly that schedule of it (without a seed it
/// is refused). An abort, a signal that ends the process, a sanitizer's report and a step that hangs tell the seed of the run that they
/// end. Throws what making a simulation throws, and std::invalid_argument for a step_limit below a second and a wrong variable.
exploration explore(const explore_options& options, const program& run);

namespace detail {

struct run_outcome {
    failure_kind kind = failure_kind::none;
    std::string what;
    std::size_t steps = 0;
    std::uint64_t fingerprint = 0;
    sim_schedule made;
    std::vector<sim_step> trace;
};

/// One run, and all that is looked at after it.
run_outcome run_once(const simulation_options& options, const program& run, const verdict& check);
/// Timers, I/O operations and blocking functions that are left, a line for each sort; empty if there are none.
std::string left_over(const runtime_metrics& numbers);
std::string permits_were_lost(std::size_t count);
/// Of the process, and one for the look itself.
std::size_t open_descriptors();
/// BELAY_SEED and the like. Throws std::invalid_argument that names the variable.
std::optional<std::uint64_t> number_in_environment(const char* name);
extern const char* const not_simulated;
/// Leaves out what it can, in at most so many runs.
void simplify(failed_run& failure, const simulation_options& options, const program& run, const verdict& check,
              std::size_t most_runs);
/// Runs it again from its schedule, and notes the steps. False: it does not fail, or otherwise; the failure is not_deterministic then.
bool repeat(failed_run& failure, simulation_options options, const program& run, const verdict& check);

}  // namespace detail
}  // namespace belay::kit
