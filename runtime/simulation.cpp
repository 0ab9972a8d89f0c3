#include <belay/runtime/simulation.hpp>

#include <belay/runtime/blocking.hpp>
#include <belay/runtime/detail/core.hpp>
#include <belay/runtime/detail/simulator.hpp>
#include <belay/runtime/detail/task_list.hpp>
#include <belay/runtime/detail/worker.hpp>
#include <belay/runtime/runtime.hpp>

#include <stdexcept>
#include <utility>

namespace belay {
namespace {

constexpr std::size_t steps_to_end = 1'000'000;  // what a program that is given up gets to unwind

runtime_options of_the_core(const simulation_options& own) {
    runtime_options options;
    options.workers = own.workers;
    options.name = own.name;
    options.takeover_tick = std::chrono::nanoseconds{0};
    options.blocking_threads = own.blocking_threads;
    options.blocking_queue = own.blocking_queue;
    options.shutdown_grace = own.shutdown_grace;
    options.max_stand_ins = 0;
    options.guardrails = own.guardrails;
    options.spin_us = 0;
    return options;
}

void check_is_its_thread(const detail::simulator& sim) noexcept {
    if (detail::this_thread_clock() != &sim.clock())
        detail::misuse("a simulation was driven, shut down or destroyed by another thread than the one that made it");
}

void check_thread() {
    if (detail::this_worker() != nullptr)
        throw std::logic_error("belay: a simulation was made inside a task: it is driven by a thread of its own");
    if (detail::this_thread_clock() != nullptr)
        throw std::logic_error(
            "belay: a second simulation was made on this thread: destroy the first one before, or make it on another thread");
}

}  // namespace

simulation::simulation(simulation_options options)
    : made_sim_{(check_thread(), std::make_unique<detail::simulator>(options))}, sim_{*made_sim_}, max_steps_{options.max_steps} {
    time_.emplace(sim_.clock());  // first: the runtime's timers begin with it
    core_ = std::make_shared<detail::runtime_core>(of_the_core(options), std::move(made_sim_));
    core_->start();
}

simulation::~simulation() {
    check_is_its_thread(sim_);
    if (sim_.runs()) detail::misuse("a simulation was destroyed by one of its own tasks: let its host destroy it");
    core_->shutdown(std::chrono::nanoseconds{core_->shutdown_grace_ns});
}

std::optional<simulation_error> simulation::drive(const bool& done) {
    if (sim_.runs()) detail::misuse("block_on() was called inside a task of the same simulation: write co_await instead");
    check_is_its_thread(sim_);
    struct at_end {
        simulation& self;
        const bool& done;
        ~at_end() {
            self.program_ = nullptr;
            if (!done) self.sim_.give_up();  // what it refers to may go now
        }
    } always{*this, done};
    auto ended = sim_.run(done, max_steps_);
    if (ended == detail::simulator::ending::done) return std::nullopt;
    bool stuck = ended == detail::simulator::ending::stuck;
    std::string text = stuck ? "belay: deadlock: nothing can happen any more, and these tasks have not ended:\n"
                             : "belay: the program has not ended after " + std::to_string(max_steps_) +
                                   " steps (simulation_options.max_steps); its tasks:\n";
    text += tasks();
    if (stuck && sim_.looks_outside())
        text +=
            "  (some wait for a descriptor of the operating system, which a simulation only looks at and does not wait for)\n";
    stop_program();
    sim_.run(done, steps_to_end);
    return simulation_error{stuck ? simulation_error::cause::deadlock : simulation_error::cause::too_many_steps, text};
}

bool simulation::stop_program() noexcept {
    if (program_ == nullptr || program_->ended()) return false;
    program_stopped_ = true;
    program_->request_stop();
    return true;
}

bool simulation::fail_task(const std::exception_ptr& error) { return sim_.fail_last(error); }

shutdown_report simulation::shutdown(std::chrono::nanoseconds grace) {
    check_is_its_thread(sim_);
    if (sim_.runs()) detail::misuse("shutdown() of a simulation was called inside one of its tasks: let its host call it");
    return core_->shutdown(grace);
}

std::uint32_t simulation::draw(std::uint32_t count) { return sim_.draw(count); }
std::chrono::nanoseconds simulation::elapsed() const noexcept { return sim_.elapsed(); }
std::size_t simulation::steps() const noexcept { return sim_.steps(); }
const sim_schedule& simulation::made() const noexcept { return sim_.made(); }
std::uint64_t simulation::fingerprint() const noexcept { return sim_.fingerprint(); }
const std::vector<sim_step>& simulation::trace() const noexcept { return sim_.trace(); }
std::string simulation::tasks() const { return detail::list_tasks(*core_); }
unsigned simulation::workers() const noexcept { return core_->regular_workers; }
const std::string& simulation::name() const noexcept { return core_->name; }
runtime_metrics simulation::metrics() const { return core_->metrics(); }
scope& simulation::root_scope() const noexcept { return *core_->root; }

}  // namespace belay
