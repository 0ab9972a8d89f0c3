#include <belay/tests/kit/explore.hpp>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <system_error>
#include <utility>

namespace belay::kit {
namespace {

using detail::run_outcome;
using detail::run_once;

constexpr std::size_t usual_seeds = 100;

std::optional<std::uint64_t> number_in_environment(const char* name) {
    const char* text = std::getenv(name);
    if (text == nullptr) return std::nullopt;
    std::uint64_t number = 0;
    const char* end = text + std::strlen(text);
    if (auto [at, error] = std::from_chars(text, end, number); error != std::errc{} || at != end)
        throw std::invalid_argument(std::string{"belay: "} + name + "='" + text + "' is no number");
    return number;
}

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

/// While it exists, an abort() tells the seed of the run that it ends: an assertion, a panic, a misuse.
class seed_at_abort {
public:
    seed_at_abort() {
        struct sigaction own{};
        own.sa_handler = [](int) {
            char line[160];
            int n =
                std::snprintf(line, sizeof line, "belay: explore: this run ended the process; repeat it with BELAY_SEED=%llu\n",
                              static_cast<unsigned long long>(current.load(std::memory_order_relaxed)));
            static_cast<void>(!::write(STDERR_FILENO, line, static_cast<std::size_t>(n)));
        };
        own.sa_flags = static_cast<int>(SA_RESETHAND);  // abort() raises it again, and then it ends the process
        ::sigaction(SIGABRT, &own, &before_);
    }
    seed_at_abort(const seed_at_abort&) = delete;
    seed_at_abort& operator=(const seed_at_abort&) = delete;
    ~seed_at_abort() { ::sigaction(SIGABRT, &before_, nullptr); }

    inline static std::atomic<std::uint64_t> current{0};

private:
    struct sigaction before_{};
};

/// The seeds [first, first + count), every `stride`th. Nothing is made simpler here.
exploration run_seeds(const explore_options& options, const program& run, std::size_t first, std::size_t stride) {
    exploration result;
    for (std::size_t i = first; i < options.seeds; i += stride) {
        simulation_options sim = options.sim;
        sim.seed = options.sim.seed + i;
        seed_at_abort::current.store(sim.seed, std::memory_order_relaxed);
        run_outcome out = run_once(sim, run, options.check);
        ++result.runs;
        result.steps += out.steps;
        if (out.kind == failure_kind::none && (options.twice || i == 0)) {
            run_outcome again = run_once(sim, run, options.check);
            if (again.fingerprint != out.fingerprint || again.kind != out.kind) {
                out.kind = failure_kind::not_deterministic;
                out.what =
                    "two runs with the same seed took different steps: the program depends on something that is not simulated (an "
                    "address, another thread, std::random_device, a clock, what an earlier run has left behind)";
            }
        }
        if (out.kind == failure_kind::none) continue;
        result.failure = failure_of(std::move(out), sim.seed);
        break;
    }
    return result;
}

/// The smallest failing seed that the children have found. A child that dies has found one too: its last.
struct child_message {
    std::size_t runs = 0;
    std::size_t steps = 0;
    std::size_t failed = 0;  // index of the seed, plus one
};

exploration run_in_children(const explore_options& options, const program& run) {
    struct child {
        pid_t pid;
        int pipe;
    };
    std::vector<child> children;
    std::fflush(nullptr);
    for (unsigned i = 0; i < options.processes; ++i) {
        int ends[2];
        if (::pipe2(ends, O_CLOEXEC) != 0) throw std::system_error(errno, std::generic_category(), "belay: explore: pipe");
        pid_t pid = ::fork();
        if (pid < 0) throw std::system_error(errno, std::generic_category(), "belay: explore: fork");
        if (pid == 0) {
            ::close(ends[0]);
            auto mine = run_seeds(options, run, i, options.processes);
            child_message message{mine.runs, mine.steps, mine.failure ? mine.failure->seed - options.sim.seed + 1 : 0};
            bool written = ::write(ends[1], &message, sizeof message) == sizeof message;
            ::_exit(written ? 0 : 1);
        }
        ::close(ends[1]);
        children.push_back({pid, ends[0]});
    }
    exploration all;
    std::size_t first_failed = 0;
    for (const child& c : children) {
        child_message message;
        bool told = ::read(c.pipe, &message, sizeof message) == sizeof message;
        ::close(c.pipe);
        int status = 0;
        ::waitpid(c.pid, &status, 0);
        if (!told)
            throw std::runtime_error("belay: explore: a child died; run it with processes = 1 to see the seed and the cause");
        all.runs += message.runs;
        all.steps += message.steps;
        if (message.failed != 0) first_failed = first_failed == 0 ? message.failed : std::min(first_failed, message.failed);
    }
    if (first_failed == 0) return all;
    explore_options one = options;
    one.sim.seed += first_failed - 1;
    one.seeds = 1;
    all.failure = run_seeds(one, run, 0, 1).failure;
    return all;
}

}  // namespace

exploration explore(const explore_options& options, const program& run) {
    explore_options own = options;
    if (own.seeds == 0) own.seeds = number_in_environment("BELAY_SEEDS").value_or(usual_seeds);
    if (auto seed = number_in_environment("BELAY_SEED")) {
        own.sim.seed = *seed;
        own.seeds = 1;
        own.processes = 1;
        if (const char* text = std::getenv("BELAY_SCHEDULE")) own.sim.replay = sim_schedule::parse(text);
    }
    seed_at_abort tells_seed;
    exploration result = own.processes > 1 ? run_in_children(own, run) : run_seeds(own, run, 0, 1);
    if (!result.failure) return result;
    simulation_options failing = own.sim;
    failing.seed = result.failure->seed;
    if (own.shrink && result.failure->kind != failure_kind::not_deterministic)
        detail::simplify(*result.failure, failing, run, own.check, own.shrink_runs);
    detail::add_trace(*result.failure, failing, run, own.check);
    return result;
}

}  // namespace belay::kit
