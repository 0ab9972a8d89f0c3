// The executor of a simulation: one thread that is all of its workers, and decides at each step what happens next.
//
// Whatever becomes ready goes the usual way, into a worker's lanes or the injection queue; the simulator takes it out after each step,
// so the executor's own code knows nothing of simulations. A step is one of: a poll of a ready task, a worker's timers that are due, a
// function of a blocking pool, an event of the simulated world. Polls have no budget: a task yields after each operation that it
// could complete at once, so a step ends wherever another worker could come in between.
#pragma once

#include <belay/runtime/detail/choices.hpp>
#include <belay/runtime/detail/clock.hpp>
#include <belay/runtime/detail/record.hpp>
#include <belay/runtime/detail/seeded_random.hpp>
#include <belay/runtime/simulation_options.hpp>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <queue>
#include <string>
#include <utility>
#include <vector>

namespace belay::detail {

class blocking_core;
class blocking_job;
class runtime_core;
class worker;

/// Something of the simulated world that happens at a time, outside of all tasks.
class sim_event {
public:
    virtual void happen() noexcept = 0;
    /// For traces. Static storage.
    [[nodiscard]] virtual const char* what() const noexcept = 0;

protected:
    ~sim_event() = default;
};

/// Looks for what comes from outside of the simulation.
class sim_lookout {
public:
    virtual void look() noexcept = 0;

protected:
    ~sim_lookout() = default;
};

class simulator {
public:
    explicit simulator(const simulation_options& options);
    simulator(const simulator&) = delete;
    simulator& operator=(const simulator&) = delete;
    ~simulator();
    /// Once, before anything else.
    void attach(runtime_core& core) noexcept;

    enum class ending : std::uint8_t { done, stuck, too_many_steps };
    /// Steps until one of them has set `done`, until nothing can happen any more, or until there have been `max_steps` more.
    ending run(const bool& done, std::size_t max_steps);
    /// For the shutdown: steps until `done` says so, and runs the functions of pools that have begun. False: the time has come, or nothing can
    /// happen any more.
    bool run_out(std::int64_t deadline_ns, bool (*done)(runtime_core&));
    [[nodiscard]] bool runs() const noexcept { return running_; }
    /// No step is made any more.
    void give_up() noexcept { given_up_ = true; }
    [[nodiscard]] bool given_up() const noexcept { return given_up_; }

    /// Outside of all steps. The task that the last step has suspended, if a stop could end what it waits on: the function that waits fails with
    /// `error` when it goes on, unless what it waits for has happened by then. False: there is none, or it waits for tasks of its own.
    bool fail_last(const std::exception_ptr& error);

    // ---- for the simulated world -------------------------------------------------------------------------------
    /// The event is the caller's, and stays alive until it has happened.
    void post(sim_event& event, std::int64_t at_ns);
    /// Is called before each step, while it is not null.
    void set_lookout(sim_lookout* lookout) noexcept { lookout_ = lookout; }
    [[nodiscard]] bool looks_outside() const noexcept { return lookout_ != nullptr; }
    /// A function waits for a thread of this pool.
    void has_jobs(blocking_core& pool);
    /// One of `count` alternatives, of which 0 is the harmless one: another one with a probability of one in `rarity`.
    std::uint32_t choose(std::uint32_t count, std::uint32_t rarity);
    /// One of `count` alternatives, each with the same probability; 0 if nothing interferes.
    std::uint32_t draw(std::uint32_t count);

    // ---- what it has done --------------------------------------------------------------------------------------
    [[nodiscard]] const virtual_clock& clock() const noexcept { return clock_; }
    [[nodiscard]] std::chrono::nanoseconds elapsed() const noexcept;
    [[nodiscard]] std::size_t steps() const noexcept { return steps_; }
    [[nodiscard]] const sim_schedule& made() const noexcept { return log_.made(); }
    /// Of all that was done, in its order: two runs that differ in it did different things.
    [[nodiscard]] std::uint64_t fingerprint() const noexcept { return fingerprint_; }
    [[nodiscard]] const std::vector<sim_step>& trace() const noexcept { return trace_; }

private:
    class turn;
    enum class kind : std::uint8_t { task, timer, job, event };
    struct item {
        kind what;
        union {
            record* task;
            worker* timers;  // some of whose are due
            blocking_job* job;
            sim_event* event;
        };
        blocking_core* pool;  // of a job
        std::uint64_t priority;  // of what is no task
    };
    struct timed_event {
        std::int64_t at_ns;
        std::uint64_t order;
        sim_event* event;
        bool operator>(const timed_event& other) const noexcept {
            return std::pair{at_ns, order} > std::pair{other.at_ns, other.order};
        }
    };

    bool step(std::int64_t limit_ns);
    void collect();
    void collect_timers(worker& w);
    void collect_tasks(worker& w);
    void collect_jobs();
    void finish_jobs();
    void add_task(record& rec);
    bool advance(std::int64_t limit_ns) noexcept;
    [[nodiscard]] std::size_t usual() const noexcept;
    [[nodiscard]] std::size_t proposal();
    [[nodiscard]] std::size_t highest() noexcept;
    [[nodiscard]] std::uint64_t& priority_of(std::size_t i) noexcept;
    item take(std::size_t i);
    void perform(const item& next);
    void run_task(worker& w, record& rec);
    void note(const item& next, unsigned worker_index);
    worker& place(const record& rec) noexcept;

    simulation_options options_;
    runtime_core* core_ = nullptr;
    virtual_clock clock_;
    choice_log log_;
    seeded_random choosing_;
    seeded_random placing_;  // not for choices: a run that is repeated from its schedule places tasks alike
    bool by_priority_;
    int budget_;
    std::vector<std::size_t> changes_;  // steps at which the one that runs loses its priority, descending
    std::size_t next_change_ = 0;  // after those
    std::uint64_t lowest_ = 0;  // the priority of the one that has lost it last
    std::vector<std::uint64_t> priorities_;  // of tasks, by the number that they were seen with
    std::size_t tasks_seen_ = 0;
    std::deque<item> ready_;  // in the order in which they became so
    std::priority_queue<timed_event, std::vector<timed_event>, std::greater<>> events_;
    std::uint64_t event_order_ = 0;
    sim_lookout* lookout_ = nullptr;
    std::vector<bool> due_;  // by worker: its timers are among what is ready
    std::vector<std::shared_ptr<blocking_core>> pools_;  // in which functions wait for a thread
    const record* last_ = nullptr;  // the task that ran in the last step; only compared
    int in_a_row_ = 0;
    record* suspended_ = nullptr;  // by the last step, if that was a task's
    record* failing_ = nullptr;  // is to fail when it goes on
    std::exception_ptr failure_;
    std::uint32_t pick_ = 0;  // of the step that is being made
    std::size_t steps_ = 0;
    std::uint64_t fingerprint_ = 14695981039346656037ULL;
    std::vector<sim_step> trace_;
    bool running_ = false;
    bool given_up_ = false;
};

}  // namespace belay::detail
