#pragma once

#include <cstdint>

namespace belay::detail {

/// What the host's other threads did to a wait for a lock.
struct lost_cpu {
    std::int64_t ns = 0;  ///< in which the thread that waited, or the one that held the lock at first, was ready but had no CPU
    bool or_more =
        false;  ///< not all could be read, or another thread of the process, which may have held the lock, lost its CPU, too
};

}  // namespace belay::detail
