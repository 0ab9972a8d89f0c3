#pragma once

#include <cstddef>
#include <source_location>

namespace belay {

/// Which worker of a runtime, from 0 to runtime.workers() - 1, and where that was said. Made from a number by the call that it is
/// an argument of.
struct worker_index {
    constexpr worker_index(std::size_t index,  // NOLINT(google-explicit-constructor): spawn_on(3, f) is the point
                           std::source_location here = std::source_location::current()) noexcept
        : value{index}, at{here} {}
    std::size_t value;
    std::source_location at;
};

}  // namespace belay
