// Decides which firings of a guardrail become a written report: the 1st, 10th, 100th ... at the same place, and at most five
// reports a minute of each kind. Pure: the time is handed in. Not thread-safe.
#pragma once

#include <belay/observability/guardrails.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace belay::detail {

class report_throttle {
public:
    using clock = std::chrono::steady_clock;
    static constexpr unsigned reports_per_window = 5;
    static constexpr std::chrono::seconds window{60};

    struct decision {
        bool write = false;
        std::uint64_t occurrence = 1;  ///< how often this place has fired, this time included
        std::uint64_t suppressed = 0;  ///< of this kind, since the last one that was written
    };

    /// `key` names the place. `always`: panics are written whatever came before.
    decision admit(guardrail kind, std::uint64_t key, clock::time_point now, bool always = false) noexcept;
    /// What was admitted there turned out to be suppressed: others may use its place in the limit. What fires there next may be another
    /// thing (of a stall the place is the innermost frames): it is looked at when as many have fired as until now, panics at once.
    /// `skipped_before` is what the decision said.
    void suppress(guardrail kind, std::uint64_t key, std::uint64_t skipped_before) noexcept;

private:
    struct place {
        std::uint64_t key = 0;  // 0: free
        std::uint64_t seen = 0;
        std::uint64_t next = 1;  // the occurrence that is written next
    };
    struct kind_state {
        clock::time_point window_start{};
        unsigned written = 0;
        std::uint64_t suppressed = 0;
    };
    static std::uint64_t mixed(guardrail kind, std::uint64_t key) noexcept;
    place* find(std::uint64_t key) noexcept;

    // Bounded: once it is full, new places are not told apart any more and only the rate limit holds.
    static constexpr std::size_t capacity = 512;
    std::array<place, capacity> places_{};
    std::array<kind_state, guardrail_count> kinds_{};
};

}  // namespace belay::detail
