// Where a call came from, as return addresses: for what is noticed below C code that carries no source_location.
#pragma once

#include <array>
#include <cstdint>

namespace belay::detail {

/// The innermost callers first.
struct call_place {
    static constexpr std::uint32_t capacity = 12;
    std::uint32_t depth = 0;
    std::array<std::uintptr_t, capacity>
        callers;  // `depth` of them; the others are not cleared, since one is taken at every lock
};

}  // namespace belay::detail
