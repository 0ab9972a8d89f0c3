// A stop, or an error, at every place of a program where it can come.
//
//     auto result = kit::stop_everywhere({}, [](simulation&) -> task<> { co_await transfer_between_two_accounts(); });
//     EXPECT_FALSE(result.failure) << result.failure->text();
//
// A step of a simulation ends at each await, so a program that has n steps is run n times more. Each run must end, and leave nothing
// behind: no task, timer, operation or descriptor, nothing that a guardrail finds, and whatever the options' check looks at, such as
// a ledger of messages. BELAY_SEED and BELAY_PLACE in the environment repeat one run of these, as a failure's text says.
#pragma once

#include <belay/tests/kit/explore.hpp>

#include <cstddef>
#include <stdexcept>
#include <string>

namespace belay::kit {

struct everywhere_options {
    simulation_options sim{.how = interleaving::calm};  ///< of each run: the places are steps of this schedule
    std::size_t seeds = 1;  ///< all places under each of so many seeds; more than one only makes sense if sim.how is not calm
    std::size_t max_places = 100'000;  ///< of each seed; with more, the rest is left out
    verdict check{};  ///< as in explore_options
    std::chrono::seconds step_limit{60};  ///< as in explore_options
};

/// What fail_everywhere() throws.
class injected_failure : public std::runtime_error {
public:
    explicit injected_failure(std::size_t place)
        : std::runtime_error{"injected failure " + std::to_string(place)}, place_{place} {}
    [[nodiscard]] std::size_t place() const noexcept { return place_; }

private:
    std::size_t place_;
};

struct everywhere_result {
    std::size_t places = 0;  ///< at which it was stopped, or failed
    std::size_t runs = 0;
    std::optional<failed_run> failure;
};

/// Stops the program after its k-th step, for every k. It may end as it likes, but with an error that is not task_stopped.
everywhere_result stop_everywhere(const everywhere_options& options, const program& run);

/// Lets the k-th function that suspends fail with injected_failure at that await, for every k: it is destroyed, as by an exception that it does
/// not catch (a catch around the await itself is passed by), and its caller gets the exception, and may handle it. The program may end
/// with it, too. Left alone are generators, awaits of tasks of one's own (scopes, when_all), and awaits that need not wait.
everywhere_result fail_everywhere(const everywhere_options& options, const program& run);

struct examination {
    std::size_t runs = 0;
    std::size_t steps = 0;  ///< of the explored runs
    std::size_t stops = 0;
    std::size_t failures = 0;
    std::optional<failed_run> failure;
};

/// All of it: explores the program, and stops it and lets it fail everywhere under one seed in fifty of these, at most
/// fifty. In a test:
///     auto all = kit::examine({}, program);
///     EXPECT_FALSE(all.failure) << all.failure->text();
examination examine(const explore_options& options, const program& run);

}  // namespace belay::kit
