// The report of tasks and timers that wait although their workers run others.
#pragma once

#include <belay/observability/report.hpp>
#include <belay/runtime/observer.hpp>

#include <chrono>

namespace belay::detail {

report describe_starvation(const starvation& found, std::chrono::nanoseconds threshold);

/// Half of the polls ended because a budget was used up; the task was found running at half of the looks, and at half of these it had been
/// the last to use up its own.
bool is_budget_hog(const starvation& found) noexcept;

}  // namespace belay::detail
