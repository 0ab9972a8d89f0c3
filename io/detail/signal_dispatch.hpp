// The process-wide side of signal_set: handlers, and who hears them. Private to signal_set.
#pragma once

#include <belay/io/descriptor.hpp>

#include <span>

namespace belay::io::detail {

struct signal_subscriber;

/// From now on each of `signals` writes a signal_info to `pipe`, which does not block. Throws std::system_error.
[[nodiscard]] signal_subscriber* subscribe(descriptor pipe, std::span<const int> signals);
/// Afterwards no handler touches the pipe, which is closed. Waits for handlers that run on other threads at this moment.
void unsubscribe(signal_subscriber& subscriber, std::span<const int> signals) noexcept;

}  // namespace belay::io::detail
