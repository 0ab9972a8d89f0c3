// Permits that somebody holds whose semaphore has gone: leaked, or about to be given back to what is no more. For tests.
#pragma once

#include <atomic>
#include <cstddef>

namespace belay::detail {

/// Of the process, ever. Relaxed: who compares it knows by other means that the semaphores are gone.
inline constinit std::atomic<std::size_t> lost_permits{0};

}  // namespace belay::detail
