#pragma once

#include <cstdint>

namespace belay::detail {

/// What the host's other threads did to a wait for a lock.
struct lost_cpu {
    std::int64_t ns = 0;       ///< in which the thread that waited, or the one that held the lock at first, was ready but had no CPU
    bool by_others = false;    ///< another one, which may have held the lock, may have had no CPU for a while, too
    bool holder_gone = false;  ///< the one that held it at first has ended, and nothing is known of it any more
};

}  // namespace belay::detail
