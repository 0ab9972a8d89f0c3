// What a simulation decides: one number after the other, recorded, so that a run can be repeated and made simpler.
#pragma once

#include <belay/runtime/sim_schedule.hpp>

#include <cstddef>
#include <cstdint>

namespace belay::detail {

/// Hands out what was decided before, or takes what the strategy proposes; keeps what it was in the end.
class choice_log {
public:
    /// Proposals count.
    choice_log() = default;
    /// Proposals do not count.
    explicit choice_log(const sim_schedule& replayed) : replayed_{&replayed} {}

    /// The next choice. `proposed` is below `count`, which is at least 2.
    std::uint32_t take(std::uint32_t proposed, std::uint32_t count) {
        std::uint32_t at = number_++;
        if (replayed_ != nullptr) proposed = replay(at, count);
        if (proposed != 0) made_.choices.push_back({at, proposed});
        return proposed;
    }
    [[nodiscard]] bool replays() const noexcept { return replayed_ != nullptr; }
    [[nodiscard]] const sim_schedule& made() const noexcept { return made_; }
    [[nodiscard]] std::uint32_t size() const noexcept { return number_; }

private:
    /// A schedule that was made simpler may name what is not there.
    std::uint32_t replay(std::uint32_t at, std::uint32_t count) noexcept {
        const auto& all = replayed_->choices;
        while (next_ < all.size() && all[next_].at < at) ++next_;
        if (next_ == all.size() || all[next_].at != at) return 0;
        return all[next_].pick < count ? all[next_].pick : count - 1;
    }

    const sim_schedule* replayed_ = nullptr;
    std::size_t next_ = 0;
    std::uint32_t number_ = 0;
    sim_schedule made_;
};

}  // namespace belay::detail
