// Random numbers that follow from a seed.
#pragma once

#include <cstdint>

namespace belay::detail {

/// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): seeded by any number.
class seeded_random {
public:
    explicit seeded_random(std::uint64_t seed) noexcept : state_{seed} {}
    std::uint64_t next() noexcept {
        std::uint64_t z = state_ += 0x9e3779b97f4a7c15ULL;
        z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9ULL;
        z = (z ^ (z >> 27U)) * 0x94d049bb133111ebULL;
        return z ^ (z >> 31U);
    }
    /// Below `count`, which is not 0. Not quite uniform: by less than 2^-32.
    std::uint32_t below(std::uint32_t count) noexcept { return static_cast<std::uint32_t>(((next() >> 32U) * count) >> 32U); }

private:
    std::uint64_t state_;
};

}  // namespace belay::detail
