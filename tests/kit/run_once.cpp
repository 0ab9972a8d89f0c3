#include <belay/io/sim_files.hpp>
#include <belay/io/sim_network.hpp>
#include <belay/observability/guardrails.hpp>
#include <belay/observability/report.hpp>
#include <belay/sync/detail/lost_permits.hpp>
#include <belay/tests/kit/clock.hpp>
#include <belay/tests/kit/explore.hpp>
#include <belay/tests/kit/run_guard.hpp>

#include <filesystem>
#include <iterator>
#include <memory>
#include <mutex>
#include <utility>

namespace belay::kit::detail {
namespace {

/// What guardrails find while this exists.
class found_by_guardrails {
public:
    found_by_guardrails() : sink_{std::make_shared<collector>()}, before_{guardrails::set_callback(sink_)} {}
    found_by_guardrails(const found_by_guardrails&) = delete;
    found_by_guardrails& operator=(const found_by_guardrails&) = delete;
    ~found_by_guardrails() { guardrails::set_callback(std::move(before_)); }
    [[nodiscard]] std::string text() const {
        guardrails::flush();
        std::scoped_lock guard(sink_->lock);
        return sink_->text;
    }

private:
    struct collector final : guardrails::report_sink {
        void write(const report& what) noexcept override {
            std::scoped_lock guard(lock);
            text += what.to_text();
        }
        std::mutex lock;
        std::string text;
    };
    std::shared_ptr<collector> sink_;
    std::shared_ptr<guardrails::report_sink> before_;
};

constexpr const char* stopped_by_itself =
    "the program ended as stopped, and nobody outside of it had asked for that: what comes after the await that threw "
    "belay::task_stopped did not run; where a stop is expected, catch it, or ask join_optional()";

std::string line_if(std::size_t count, const std::string& what) {
    return count != 0 ? "  " + std::to_string(count) + what + '\n' : "";
}

/// What must be gone when all tasks are.
std::string left_behind(simulation& sim) {
    auto numbers = sim.metrics();
    std::string text = line_if(numbers.live_tasks, " tasks that do not end:");
    if (numbers.live_tasks != 0) text += sim.tasks();
    return text + left_over(numbers) + line_if(io::sim_network::of(sim).open_sockets(), " sockets that were not closed") +
           line_if(io::sim_files::of(sim).open_files(), " files that were not closed");
}

std::string text_of(const std::exception_ptr& error) {
    try {
        std::rethrow_exception(error);
    } catch (const std::exception& e) {
        return e.what();
    } catch (...) {
        return "an exception of another type than std::exception";
    }
}

}  // namespace

std::string left_over(const runtime_metrics& numbers) {
    std::size_t timers = 0;
    std::size_t in_flight = 0;
    for (const auto& worker : numbers.workers) {
        timers += worker.timers;
        in_flight += worker.io_in_flight;
    }
    std::string text = line_if(timers, " timers") + line_if(in_flight, " I/O operations in flight");
    for (const auto& pool : numbers.pools)
        text += line_if(pool.running + pool.queued + pool.waiting, " blocking functions in the pool " + pool.name);
    return text;
}

std::string permits_were_lost(std::size_t count) {
    return std::to_string(count) + " permits were not given back before their semaphore was destroyed";
}

std::size_t open_descriptors() {
    return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator{"/proc/self/fd"}, {}));
}

run_outcome run_once(const simulation_options& options, const program& run, const verdict& check) {
    use_clock();
    run_outcome out;
    auto fail = [&](failure_kind kind, std::string what) {
        if (out.kind != failure_kind::none) return;
        out.kind = kind;
        out.what = std::move(what);
    };
    std::size_t descriptors = open_descriptors();
    std::size_t permits = belay::detail::lost_permits.load(std::memory_order_relaxed);
    found_by_guardrails found;
    {
        simulation_options own = options;
        if (own.guardrails.empty()) own.guardrails = "all=callback,error=off";
        own.on_step = [&](std::size_t step) {
            run_guard::goes_on();
            if (options.on_step) options.on_step(step);
        };
        simulation sim{own};
        try {
            sim.block_on([&] { return run(sim); });
        } catch (const task_stopped&) {
            if (!sim.program_was_stopped()) fail(failure_kind::error, stopped_by_itself);
        } catch (const simulation_error& error) {
            fail(error.why() == simulation_error::cause::deadlock ? failure_kind::deadlock : failure_kind::too_many_steps,
                 error.what());
        } catch (...) {
            fail(failure_kind::error, "the program threw: " + text_of(std::current_exception()));
        }
        sim.shutdown(options.shutdown_grace);
        if (auto left = left_behind(sim); !left.empty()) fail(failure_kind::leak, "left after all tasks were stopped:\n" + left);
        out.steps = sim.steps();
        out.fingerprint = sim.fingerprint();
        out.made = sim.made();
        out.trace = sim.trace();
    }
    if (std::size_t lost = belay::detail::lost_permits.load(std::memory_order_relaxed) - permits; lost != 0)
        fail(failure_kind::leak, permits_were_lost(lost));
    if (auto text = found.text(); !text.empty()) fail(failure_kind::guardrail, text);
    if (std::size_t now = open_descriptors(); now > descriptors)
        fail(failure_kind::leak, std::to_string(now - descriptors) + " descriptors were not closed");
    auto found_by_check = check ? check() : std::string{};
    if (found_by_check.empty()) return out;
    if (out.kind != failure_kind::none) out.what += "\nand the run's expectations failed: " + found_by_check;  // often the cause
    fail(failure_kind::check, std::move(found_by_check));
    return out;
}

}  // namespace belay::kit::detail
