#include <belay/tests/kit/everywhere.hpp>
#include <belay/tests/kit/run_guard.hpp>

#include <algorithm>
#include <exception>
#include <functional>
#include <string_view>
#include <utility>

namespace belay::kit {
namespace {

/// Does what is to be done at a place. True: it was done, so there may be a later place.
using intervention = std::function<bool(simulation&, std::size_t place)>;

everywhere_result at_every_step(const everywhere_options& options, const program& run, std::string_view what,
                                const intervention& act) {
    everywhere_result result;
    detail::run_guard guard{options.step_limit};
    auto only_seed = detail::number_in_environment("BELAY_SEED");
    auto only_place = detail::number_in_environment("BELAY_PLACE");
    for (std::size_t seed = 0; seed < (only_seed ? 1 : options.seeds); ++seed) {
        std::size_t last = only_place ? *only_place : options.max_places;
        for (std::size_t place = only_place ? *only_place : 1; place <= last; ++place) {
            simulation_options own = options.sim;
            own.seed = only_seed ? *only_seed : own.seed + seed;
            simulation* current = nullptr;
            bool reached = false;
            bool acted = false;
            own.on_step = [&](std::size_t step) {
                if (options.sim.on_step) options.sim.on_step(step);
                if (step != place || current == nullptr) return;
                reached = true;
                acted = act(*current, place);
            };
            program watched = [&](simulation& sim) {
                current = &sim;
                return run(sim);
            };
            detail::run_guard::begins(own.seed, place);
            auto out = detail::run_once(own, watched, options.check);
            ++result.runs;
            if (acted) ++result.places;
            if (out.kind != failure_kind::none) {
                failed_run failure;
                failure.kind = out.kind;
                failure.what = std::string{what} + ' ' + std::to_string(place) + ": " + out.what;
                failure.seed = own.seed;
                failure.place = place;
                failure.steps = out.steps;
                failure.choices_before = out.made.choices.size();
                failure.schedule = out.made;
                detail::repeat(failure, own, watched, options.check);
                result.failure = std::move(failure);
                return result;
            }
            if (!reached) break;  // the program has fewer steps
        }
    }
    return result;
}

}  // namespace

everywhere_result stop_everywhere(const everywhere_options& options, const program& run) {
    return at_every_step(options, run, "stopped after step", [](simulation& sim, std::size_t) { return sim.stop_program(); });
}

everywhere_result fail_everywhere(const everywhere_options& options, const program& run) {
    // The program may pass the failure on, and what it does then counts.
    program tolerant = [&](simulation& sim) -> task<> {
        try {
            co_await run(sim);
        } catch (const injected_failure&) {}
    };
    return at_every_step(options, tolerant, "failed after step", [](simulation& sim, std::size_t place) {
        return sim.fail_task(std::make_exception_ptr(injected_failure{place}));
    });
}

examination examine(const explore_options& options, const program& run) {
    examination all;
    everywhere_options everywhere{.sim = options.sim, .check = options.check, .step_limit = options.step_limit};
    bool repeats = detail::number_in_environment("BELAY_SEED").has_value();
    bool at_a_place = detail::number_in_environment("BELAY_PLACE").has_value();
    if (!at_a_place) {
        auto explored = explore(options, run);
        all.runs = explored.runs;
        all.steps = explored.steps;
        all.failure = std::move(explored.failure);
        everywhere.seeds = std::min<std::size_t>(1 + explored.runs / 50, 50);
        if (repeats) return all;
    }
    auto add = [&](everywhere_result (*f)(const everywhere_options&, const program&), std::size_t& places) {
        if (all.failure) return;
        auto result = f(everywhere, run);
        all.runs += result.runs;
        places = result.places;
        all.failure = std::move(result.failure);
    };
    add(stop_everywhere, all.stops);
    add(fail_everywhere, all.failures);
    return all;
}

}  // namespace belay::kit
