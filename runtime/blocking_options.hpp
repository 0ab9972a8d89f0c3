// Limits of a pool of threads for blocking functions.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>

namespace belay {

/// What a call does when the pool's queue is full.
enum class when_full {
    suspend,  ///< the calling task waits for room: backpressure
    reject    ///< the call throws blocking_queue_full: load shedding
};

/// Validated by blocking_pool's constructor; a wrong value throws std::invalid_argument that names the field.
struct blocking_options {
    std::string name = "blocking";               ///< the label `pool` of its metrics
    unsigned max_threads = 64;                   ///< threads are made when needed, up to this many
    std::size_t max_queued = 1024;               ///< functions that wait for a thread; beyond it see when_full
    std::chrono::milliseconds keep_alive{10'000};///< an idle thread ends after this long
    belay::when_full when_full = belay::when_full::suspend;
    /// From the call to the start of the function, room in the queue included; a function that has not started by then never will,
    /// and the call throws blocking_wait_exceeded. Empty: no limit. Must be positive.
    std::optional<std::chrono::nanoseconds> max_wait{};
};

/// What one call wants to have different from its pool. `max_wait` is as in blocking_options, validated by the call.
struct blocking_call_options {
    std::optional<belay::when_full> when_full{};  ///< empty: as the pool has it
    std::optional<std::chrono::nanoseconds> max_wait{};  ///< empty: as the pool has it
};

}  // namespace belay
