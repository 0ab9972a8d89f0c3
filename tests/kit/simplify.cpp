#include <belay/tests/kit/explore.hpp>

#include <algorithm>
#include <cstdio>
#include <string_view>
#include <utility>

namespace belay::kit {
namespace detail {

// Delta debugging (Zeller and Hildebrandt, TSE 2002), by leaving out: first all choices, then halves, quarters and so on, at last
// single ones, until none can be left out by itself. What stays is what has to interfere for the program to fail.
void simplify(failed_run& failure, const simulation_options& options, const program& run, const verdict& check,
              std::size_t budget) {
    simulation_options own = options;
    own.trace = false;
    auto fails = [&](const sim_schedule& candidate) {
        if (budget == 0) return false;
        --budget;
        own.replay = candidate;
        run_outcome out = run_once(own, run, check);
        if (out.kind != failure.kind) return false;
        failure.schedule = std::move(out.made);  // with what it did not come to left out
        failure.what = std::move(out.what);
        failure.steps = out.steps;
        return true;
    };
    failure.simple = true;
    if (failure.schedule.choices.empty() || fails({})) return;
    for (std::size_t size = failure.schedule.choices.size(); size > 0 && budget > 0;) {
        bool left_out = false;
        for (std::size_t at = 0; at < failure.schedule.choices.size() && budget > 0;) {
            sim_schedule candidate = failure.schedule;
            auto first = candidate.choices.begin() + static_cast<std::ptrdiff_t>(at);
            candidate.choices.erase(first, first + static_cast<std::ptrdiff_t>(std::min(size, candidate.choices.size() - at)));
            if (fails(candidate)) {
                left_out = true;
            } else {
                at += size;
            }
        }
        if (size == 1 && !left_out) break;
        if (size > 1) size /= 2;
    }
}

void add_trace(failed_run& failure, simulation_options options, const program& run, const verdict& check) {
    options.trace = true;
    options.replay = failure.schedule;
    run_outcome out = run_once(options, run, check);
    failure.trace = std::move(out.trace);
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

}  // namespace

std::string failed_run::text() const {
    std::string all = what;
    if (!all.ends_with('\n')) all += '\n';
    all += "seed " + std::to_string(seed) + ", " + std::to_string(steps) + " steps";
    if (simple)
        all += "; " + std::to_string(schedule.choices.size()) + " of " + std::to_string(choices_before) +
               " choices are needed for it";
    all += "\nrepeat it with BELAY_SEED=" + std::to_string(seed);
    all += place != 0 ? " BELAY_PLACE=" + std::to_string(place) : " BELAY_SCHEDULE=\"" + schedule.to_string() + '"';
    all += '\n';
    if (trace.empty()) return all;
    all += "its steps (>: at which somebody interfered):\n";
    constexpr std::size_t most = 200;
    std::size_t first = trace.size() > most ? trace.size() - most : 0;
    if (first != 0) all += "  ... " + std::to_string(first) + " more before\n";
    for (std::size_t i = first; i < trace.size(); ++i) all += line_of(trace[i], i + 1) + '\n';
    return all;
}

}  // namespace belay::kit
