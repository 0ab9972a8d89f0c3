// What a simulation is made with, and what it says of its steps.
#pragma once

#include <belay/runtime/sim_schedule.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <source_location>
#include <string>

namespace belay {

/// How a simulation chooses among what could happen next.
enum class interleaving : std::uint8_t {
    mixed,  ///< uniform for even seeds, pct for odd ones
    uniform,  ///< each alternative with the same probability, at each step
    /// Random priorities that change at few random steps: finds a bug that needs d ordered steps with a known probability, also
    /// where a uniform choice hardly ever keeps a task waiting for long (Burckhardt, Kothari, Musuvathi, Nagarakatte, ASPLOS 2010).
    pct,
    calm  ///< nothing interferes: a task runs until it waits, then the one that has been ready for longest
};

/// Validated by the constructor; a wrong value throws std::invalid_argument that names the field.
struct simulation_options {
    /// All of a run follows from it, the options, and the program.
    std::uint64_t seed = 0;
    /// Simulated workers, 1 to 256: what differs is where tasks run (this_task::worker(), pinned tasks, timers).
    unsigned workers = 2;
    interleaving how = interleaving::mixed;
    unsigned pct_depth = 3;  ///< priorities change at one step less than this; at least 1
    /// Among how many steps pct spreads its changes. A longer run has one more each 1,000 steps, so that whoever polls does not keep the
    /// others away for ever.
    std::size_t expected_steps = 200;
    /// A program that takes more is ended, with an error. Polls, timers, functions of pools and events of the network count.
    std::size_t max_steps = 100'000;
    /// How long each step takes in the simulation's time, so that loops until a deadline end. 0: no time passes while something is ready.
    std::chrono::nanoseconds step_time = std::chrono::microseconds{1};
    /// Repeats a run: its choices instead of the seed's. `seed` still places tasks, so give that of the run.
    std::optional<sim_schedule> replay{};
    bool trace = false;  ///< keeps what each step did, see simulation::trace()
    /// Called after each step, outside of all tasks, with the number of steps so far. What it throws comes out of block_on(), and ends the
    /// simulation: no task runs any more.
    std::function<void(std::size_t)> on_step{};
    std::string name = "simulation";  ///< in reports
    std::string guardrails{};  ///< as in runtime_options. What only a watchdog could see is off
    unsigned blocking_threads = 4;  ///< functions of spawn_blocking that are under way at once, at most
    std::size_t blocking_queue = 1024;
    std::chrono::milliseconds shutdown_grace{5'000};  ///< simulated time
};

/// One step of a simulation.
struct sim_step {
    std::chrono::nanoseconds at{};  ///< since the simulation began
    const char* what = "";  ///< "task", "timers", "blocking function", or the event of the simulated network
    std::uint64_t task = 0;  ///< its id; 0 when the step is no task's
    unsigned worker = 0;  ///< on which it ran
    std::uint32_t pick = 0;  ///< not 0: what would have happened if nothing had interfered was put off for it
    std::array<char, 32> name{};  ///< of the task, cut, zero-terminated
    std::source_location place{};  ///< where the task went on
};

}  // namespace belay
