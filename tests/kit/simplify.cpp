#include <belay/tests/kit/explore.hpp>

#include <algorithm>
#include <cstdio>
#include <string_view>
#include <utility>

namespace belay::kit {
namespace detail {
namespace {

constexpr std::size_t steps_for_endless = 2'000'000;  // a run of a program that does not end takes as many as are allowed

}  // namespace

const char* const not_simulated =
    "the program depends on something that is not simulated (an address, another thread, std::random_device, a clock, what an earlier "
    "run has left behind)";

// Delta debugging (Zeller and Hildebrandt, TSE 2002), by leaving out: first all choices, then halves, quarters and so on, at last
// single ones, until none can be left out by itself. What stays is what has to interfere for the program to fail.
void simplify(failed_run& failure, const simulation_options& options, const program& run, const verdict& check,
              std::size_t most_runs) {
    simulation_options own = options;
    own.trace = false;
    std::size_t steps = 0;
    bool gave_up = false;
    auto fails = [&](const sim_schedule& candidate) {
        gave_up = gave_up || failure.shrink_runs == most_runs ||
                  (failure.kind == failure_kind::too_many_steps && steps >= steps_for_endless);
        if (gave_up) return false;
        ++failure.shrink_runs;
        own.replay = candidate;
        run_outcome out = run_once(own, run, check);
        steps += out.steps;
        if (out.kind != failure.kind) return false;
        failure.schedule = std::move(out.made);  // with what it did not come to left out
        failure.what = std::move(out.what);
        failure.steps = out.steps;
        return true;
    };
    if (failure.schedule.choices.empty() || fails({})) {
        failure.simple = true;
        return;
    }
    for (std::size_t size = failure.schedule.choices.size(); !failure.simple;) {
        bool left_out = false;
        for (std::size_t at = 0; at < failure.schedule.choices.size();) {
            sim_schedule candidate = failure.schedule;
            auto first = candidate.choices.begin() + static_cast<std::ptrdiff_t>(at);
            candidate.choices.erase(first, first + static_cast<std::ptrdiff_t>(std::min(size, candidate.choices.size() - at)));
            if (fails(candidate)) {
                left_out = true;
            } else {
                at += size;
            }
            if (gave_up) return;
        }
        failure.simple = size == 1 && !left_out;
        if (size > 1) size /= 2;
    }
}

bool repeat(failed_run& failure, simulation_options options, const program& run, const verdict& check) {
    options.trace = true;
    options.replay = failure.schedule;
    run_outcome out = run_once(options, run, check);
    bool same = out.kind == failure.kind;
    failure.trace = same ? std::move(out.trace) : std::vector<sim_step>{};  // of a run that went well it would only mislead
    if (same) return true;
    failure.kind = failure_kind::not_deterministic;
    failure.simple = false;
    failure.what = std::string{"a run that failed "} + (out.kind == failure_kind::none ? "passes" : "fails in another way") +
                   " when it is repeated with the same choices: " + not_simulated + ". The first time:\n" + failure.what;
    return false;
}

}  // namespace detail

namespace {

std::string place(std::source_location at) {
    std::string_view file = at.file_name();
    return std::string{file.substr(file.rfind('/') + 1)} + ':' + std::to_string(at.line());
}

std::string line_of(const sim_step& step, std::size_t number) {
    char head[96];
    std::snprintf(head, sizeof head, "%s%6zu  %12.6f s  worker %u  ", step.pick != 0 ? " >" : "  ", number,
                  std::chrono::duration<double>(step.at).count(), step.worker);
    std::string line = head;
    line += step.what;
    if (step.task != 0) line += (std::string_view{step.what} == "task" ? " " : " of task ") + std::to_string(step.task);
    if (step.name[0] != '\0') line += std::string{" \""} + step.name.data() + '"';
    if (step.place.line() != 0) {
        line += " goes on at " + place(step.place);
    } else if (std::string_view{step.what} == "task") {
        line += " begins";
    }
    return line;
}

std::string how_to_repeat(const failed_run& failure) {
    std::string variables = "BELAY_SEED=" + std::to_string(failure.seed);
    if (failure.place != 0) variables += " BELAY_PLACE=" + std::to_string(failure.place);
    if (failure.kind == failure_kind::not_deterministic) return "it may come again with " + variables;
    if (failure.place != 0) return "repeat it with " + variables;
    constexpr std::size_t longest = (std::size_t{128} << 10) - sizeof "BELAY_SCHEDULE=";  // Linux: of a variable and its name
    std::string schedule = failure.schedule.to_string();
    if (schedule.size() <= longest) return "repeat it with " + variables + " BELAY_SCHEDULE=\"" + schedule + '"';
    return "repeat it with " + variables + " alone: its schedule of " + std::to_string(failure.schedule.choices.size()) +
           " choices is longer than a variable of the environment may be";
}

}  // namespace

std::string failed_run::text() const {
    std::string all = what;
    if (!all.ends_with('\n')) all += '\n';
    all += "seed " + std::to_string(seed) + ", " + std::to_string(steps) + " steps";
    std::string choices = "; " + std::to_string(schedule.choices.size()) + " of " + std::to_string(choices_before) + " choices ";
    if (simple) {
        all += choices + "are needed for it";
    } else if (shrink_runs != 0 && kind != failure_kind::not_deterministic) {
        all += choices + "are left after " + std::to_string(shrink_runs) +
               " runs that made it simpler; not all of them may be needed";
    }
    all += '\n' + how_to_repeat(*this) + '\n';
    if (trace.empty()) return all;
    all += "its steps (>: at which somebody interfered):\n";
    constexpr std::size_t most = 200;
    std::size_t first = trace.size() > most ? trace.size() - most : 0;
    if (first != 0) all += "  ... " + std::to_string(first) + " more before\n";
    for (std::size_t i = first; i < trace.size(); ++i) all += line_of(trace[i], i + 1) + '\n';
    return all;
}

}  // namespace belay::kit
