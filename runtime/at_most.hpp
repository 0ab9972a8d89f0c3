// at_most: how many of something may run at the same time.
//
//     co_await belay::map(urls, belay::at_most(16), fetch);
#pragma once

#include <concepts>
#include <cstddef>
#include <stdexcept>
#include <utility>

namespace belay {

/// A limit that the combinators over ranges ask for by name, so that none is forgotten and none is mistaken for another number.
/// Throws std::invalid_argument below 1.
class at_most {
public:
    template <std::integral N>
        requires(!std::same_as<N, bool>)
    explicit constexpr at_most(N n) : value_{static_cast<std::size_t>(n)} {
        if (std::cmp_less(n, 1))
            throw std::invalid_argument("belay: at_most(n) needs an n of at least 1: with none nothing would ever run");
    }
    [[nodiscard]] constexpr std::size_t value() const noexcept { return value_; }

private:
    std::size_t value_;
};

}  // namespace belay
