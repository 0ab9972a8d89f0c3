// Time that the watchdog does not hold against anybody: the process was stopped (Ctrl-Z, a debugger, a frozen container), or the machine
// gave even the watchdog no CPU, or the host of a local_runtime did not drive it.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace belay::detail {

/// One thread. Of the latest gaps only: as each counts from a sixteenth of the limit on, those that are forgotten lie further back than
/// the limit, or the rest is as long as the limit.
class lost_time {
public:
    explicit lost_time(std::int64_t limit_ns) noexcept : least_ns_{limit_ns / most} {}

    /// The time before `now` was lost, so much of it.
    void note(std::int64_t now, std::int64_t lost_ns) noexcept {
        if (lost_ns > 0 && lost_ns >= least_ns_) gaps_[next_++ % gaps_.size()] = {now, lost_ns};
    }
    /// Since the last look, or longer, time is being lost; or is not, now.
    void note_away(std::int64_t now, bool away) noexcept {
        if (away && away_since_ns_ == 0) away_since_ns_ = looked_ns_ != 0 ? looked_ns_ : now;
        if (!away && away_since_ns_ != 0) {
            note(now, now - away_since_ns_);
            away_since_ns_ = 0;
        }
        looked_ns_ = now;
    }
    /// Of the time from `begin` to the last look.
    [[nodiscard]] std::int64_t since(std::int64_t begin) const noexcept {
        std::int64_t lost = away_since_ns_ != 0 ? std::max<std::int64_t>(looked_ns_ - std::max(begin, away_since_ns_), 0) : 0;
        for (const gap& g : gaps_) lost += std::clamp<std::int64_t>(g.end_ns - begin, 0, g.length_ns);
        return lost;
    }

private:
    static constexpr std::int64_t most = 16;
    struct gap {
        std::int64_t end_ns = 0;
        std::int64_t length_ns = 0;
    };
    std::array<gap, static_cast<std::size_t>(most)> gaps_{};
    std::size_t next_ = 0;
    std::int64_t least_ns_;
    std::int64_t away_since_ns_ = 0;  // 0: nobody is
    std::int64_t looked_ns_ = 0;
};

}  // namespace belay::detail
