// What the shutdown of a runtime, of either flavour, found.
#pragma once

#include <belay/runtime/observer.hpp>

#include <cstddef>
#include <vector>

namespace belay {

/// What shutdown() found.
struct shutdown_report {
    std::size_t abandoned = 0;               ///< tasks that did not end within the grace
    std::vector<task_snapshot> survivors;    ///< the first of them, at most 64
    [[nodiscard]] bool clean() const noexcept { return abandoned == 0; }
};

}  // namespace belay
