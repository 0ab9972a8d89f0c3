// std::chrono in a simulation, see clock.cpp.
#pragma once

namespace belay::kit::detail {

/// Whoever calls it has std::chrono::steady_clock and system_clock follow the simulation of the thread that asks.
void use_clock() noexcept;

}  // namespace belay::kit::detail
