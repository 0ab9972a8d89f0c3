// The interleaving of a simulated run, as far as it is no matter of course.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace belay {

/// The choices of a run that were not the first alternative, by their number. What it does not name is the first: so an empty
/// schedule is the run in which nothing interferes, and the fewer entries, the simpler the run.
struct sim_schedule {
    struct choice {
        std::uint32_t at = 0;    ///< number of the choice in the run
        std::uint32_t pick = 0;  ///< of its alternatives; not 0
        friend bool operator==(const choice&, const choice&) = default;
    };
    std::vector<choice> choices;  ///< ascending

    /// "12:1 40:3"; "-" when it is empty.
    [[nodiscard]] std::string to_string() const;
    /// Throws std::invalid_argument that names the word.
    static sim_schedule parse(std::string_view text);
    friend bool operator==(const sim_schedule&, const sim_schedule&) = default;
};

}  // namespace belay
