// A deadline in an options aggregate: none, a duration from now, or a time point.
#pragma once

#include <belay/runtime/detail/clock.hpp>
#include <belay/runtime/detail/stop_node.hpp>

#include <chrono>
#include <cstdint>

namespace belay::detail {

/// Adds without overflow: what cannot be represented is never.
constexpr std::int64_t saturating_add(std::int64_t now, std::int64_t delta) noexcept {
    return delta > 0 && now > no_deadline - delta ? no_deadline : now + delta;
}

template <class Rep, class Period>
constexpr std::int64_t saturating_ns(std::chrono::duration<Rep, Period> d) noexcept {
    using limit = std::chrono::duration<double, std::nano>;
    if (limit(d).count() >= 9.2e18) return no_deadline;
    if (limit(d).count() <= -9.2e18) return -no_deadline;
    return std::chrono::ceil<std::chrono::nanoseconds>(d).count();
}

class deadline {
public:
    constexpr deadline() noexcept = default;
    template <class Rep, class Period>
    constexpr deadline(std::chrono::duration<Rep, Period> from_now) noexcept  // NOLINT: .deadline = 5s is the point
        : ns_{saturating_ns(from_now)}, kind_{kind::relative} {}
    template <class Duration>
    constexpr deadline(std::chrono::time_point<std::chrono::steady_clock, Duration> when) noexcept  // NOLINT: as above
        : ns_{saturating_ns(when.time_since_epoch())}, kind_{kind::absolute} {}

    /// In nanoseconds of the steady clock; no_deadline when there is none.
    [[nodiscard]] constexpr std::int64_t resolve(std::int64_t now) const noexcept {
        if (kind_ == kind::none) return no_deadline;
        return kind_ == kind::absolute ? ns_ : saturating_add(now, ns_);
    }
    [[nodiscard]] constexpr bool set() const noexcept { return kind_ != kind::none; }
    /// Reads the clock only for a time point.
    [[nodiscard]] bool passed() const noexcept {
        if (kind_ == kind::absolute) return ns_ <= now_ns();
        return kind_ == kind::relative && ns_ <= 0;
    }

private:
    enum class kind : std::uint8_t { none, relative, absolute };
    std::int64_t ns_ = 0;
    kind kind_ = kind::none;
};

}  // namespace belay::detail
