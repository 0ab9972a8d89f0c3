// Limits of a pool of threads for blocking functions.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>

namespace belay {

/// Validated by blocking_pool's constructor; a wrong value throws std::invalid_argument that names the field.
struct blocking_options {
    std::string name = "blocking";               ///< the label `pool` of its metrics
    unsigned max_threads = 64;                   ///< threads are made when needed, up to this many
    std::size_t max_queued = 1024;               ///< functions that wait for a thread; beyond it the caller is suspended
    std::chrono::milliseconds keep_alive{10'000};///< an idle thread ends after this long
};

}  // namespace belay
