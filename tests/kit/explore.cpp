#include <belay/tests/kit/explore.hpp>
#include <belay/tests/kit/run_guard.hpp>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <system_error>
#include <utility>

namespace belay::kit {
namespace {

using detail::number_in_environment;
using detail::run_guard;
using detail::run_once;
using detail::run_outcome;

constexpr std::size_t usual_seeds = 100;

failed_run failure_of(run_outcome&& out, std::uint64_t seed) {
    failed_run failure;
    failure.kind = out.kind;
    failure.what = std::move(out.what);
    failure.seed = seed;
    failure.choices_before = out.made.choices.size();
    failure.schedule = std::move(out.made);
    failure.steps = out.steps;
    return failure;
}

/// The seeds [first, first + count), every `stride`th. Nothing is made simpler here.
exploration run_seeds(const explore_options& options, const program& run, std::size_t first, std::size_t stride) {
    exploration result;
    for (std::size_t i = first; i < options.seeds; i += stride) {
        simulation_options sim = options.sim;
        sim.seed = options.sim.seed + i;
        run_guard::begins(sim.seed, 0);
        run_outcome out = run_once(sim, run, options.check);
        ++result.runs;
        result.steps += out.steps;
        if (out.kind == failure_kind::none && (options.twice || i == 0)) {
            run_outcome again = run_once(sim, run, options.check);
            if (again.fingerprint != out.fingerprint || again.kind != out.kind) {
                out.kind = failure_kind::not_deterministic;
                out.what = std::string{"two runs with the same seed took different steps: "} + detail::not_simulated;
            }
        }
        if (out.kind == failure_kind::none) continue;
        result.failure = failure_of(std::move(out), sim.seed);
        break;
    }
    return result;
}

/// What a child says when it has run its seeds.
struct child_message {
    std::size_t runs = 0;
    std::size_t steps = 0;
    std::size_t failed = 0;  // index of the seed, plus one
};

struct child {
    pid_t pid;
    int pipe;
};

[[noreturn]] void run_as_child(const explore_options& options, const program& run, unsigned index, int pipe) {
    int status = 1;
    try {
        run_guard guard{options.step_limit};
        auto mine = run_seeds(options, run, index, options.processes);
        child_message message{mine.runs, mine.steps, mine.failure ? mine.failure->seed - options.sim.seed + 1 : 0};
        if (::write(pipe, &message, sizeof message) == sizeof message) status = 0;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "belay: explore: a child could not run: %s\n", error.what());
    } catch (...) {
        std::fprintf(stderr, "belay: explore: a child could not run\n");
    }
    std::fflush(nullptr);
    ::_exit(status);  // whatever the parent would do next is not for its copy
}

/// Waits for all of them. Adds up what they say; false if one died, or could not run.
bool gather(const std::vector<child>& children, exploration& all, std::size_t& first_failed) {
    bool all_told = true;
    for (const child& c : children) {
        child_message message;
        bool told = ::read(c.pipe, &message, sizeof message) == sizeof message;
        ::close(c.pipe);
        ::waitpid(c.pid, nullptr, 0);
        all_told = all_told && told;
        if (!told) continue;
        all.runs += message.runs;
        all.steps += message.steps;
        if (message.failed != 0) first_failed = first_failed == 0 ? message.failed : std::min(first_failed, message.failed);
    }
    return all_told;
}

exploration run_in_children(const explore_options& options, const program& run) {
    std::vector<child> children;
    children.reserve(options.processes);
    int error = 0;
    std::fflush(nullptr);
    for (unsigned i = 0; i < options.processes && error == 0; ++i) {
        int ends[2];
        if (::pipe2(ends, O_CLOEXEC) != 0) {
            error = errno;
            break;
        }
        pid_t pid = ::fork();
        if (pid == 0) run_as_child(options, run, i, ends[1]);
        if (pid < 0) error = errno;
        ::close(ends[1]);
        if (pid > 0) {
            children.push_back({pid, ends[0]});
        } else {
            ::close(ends[0]);
        }
    }
    exploration all;
    std::size_t first_failed = 0;
    bool all_told = gather(children, all, first_failed);
    if (error != 0) throw std::system_error(error, std::generic_category(), "belay: explore: no further process");
    if (!all_told) throw std::runtime_error("belay: explore: a child process did not come to its end; what it said is above");
    if (first_failed == 0) return all;
    explore_options one = options;
    one.sim.seed += first_failed - 1;
    one.seeds = 1;
    run_guard guard{options.step_limit};
    all.failure = run_seeds(one, run, 0, 1).failure;
    if (!all.failure) {
        all.failure.emplace();
        all.failure->kind = failure_kind::not_deterministic;
        all.failure->seed = one.sim.seed;
        all.failure->what = std::string{"a run that failed in a child process passes here: "} + detail::not_simulated;
    }
    return all;
}

}  // namespace

std::optional<std::uint64_t> detail::number_in_environment(const char* name) {
    const char* text = std::getenv(name);
    if (text == nullptr) return std::nullopt;
    std::uint64_t number = 0;
    const char* end = text + std::strlen(text);
    if (auto [at, error] = std::from_chars(text, end, number); error != std::errc{} || at != end)
        throw std::invalid_argument(std::string{"belay: "} + name + "='" + text + "' is no number");
    return number;
}

exploration explore(const explore_options& options, const program& run) {
    explore_options own = options;
    run_guard::check(own.step_limit);  // here, and not first in a child
    if (own.seeds == 0) own.seeds = number_in_environment("BELAY_SEEDS").value_or(usual_seeds);
    const char* schedule = std::getenv("BELAY_SCHEDULE");
    if (auto seed = number_in_environment("BELAY_SEED")) {
        own.sim.seed = *seed;
        own.seeds = 1;
        own.processes = 1;
        if (schedule != nullptr) own.sim.replay = sim_schedule::parse(schedule);
    } else if (schedule != nullptr) {
        throw std::invalid_argument{"belay: BELAY_SCHEDULE is set without BELAY_SEED: a schedule is one of a seed, so give both"};
    }
    exploration result;
    if (own.processes > 1) result = run_in_children(own, run);  // each has a guard of its own
    if (own.processes > 1 && !result.failure) return result;
    run_guard guard{own.step_limit};
    if (own.processes <= 1) result = run_seeds(own, run, 0, 1);
    if (!result.failure || result.failure->kind == failure_kind::not_deterministic) return result;
    simulation_options failing = own.sim;
    failing.seed = result.failure->seed;
    if (!detail::repeat(*result.failure, failing, run, own.check) || !own.shrink) return result;
    detail::simplify(*result.failure, failing, run, own.check, own.shrink_runs);
    detail::repeat(*result.failure, failing, run, own.check);
    return result;
}

}  // namespace belay::kit
