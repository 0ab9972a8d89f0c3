// A host for the tests of local_runtime: a loop that waits with poll(2) for the runtime's descriptor and for nothing else.
#pragma once

#include <belay/runtime/local_runtime.hpp>

#include <gtest/gtest.h>
#include <poll.h>

#include <cerrno>
#include <chrono>

namespace belay::test {

/// As options() for the flavour with threads. Without a watchdog: no thread at all.
inline local_runtime_options local_options() {
    return {.name = "local", .blocking_threads = 4, .shutdown_grace = std::chrono::seconds{60}, .guardrails = "stall=off"};
}

/// Waits without a limit; a host goes on after a signal.
inline int poll_again(pollfd* handles, nfds_t count, int timeout_ms = -1) {
    for (;;) {
        int ready = ::poll(handles, count, timeout_ms);
        if (ready >= 0 || errno != EINTR) return ready;
    }
}
inline void wait_readable(const local_runtime& rt) {
    pollfd handle{rt.native_handle(), POLLIN, 0};
    ASSERT_EQ(poll_again(&handle, 1), 1);
}
[[nodiscard]] inline bool readable(const local_runtime& rt) {
    pollfd handle{rt.native_handle(), POLLIN, 0};
    return poll_again(&handle, 1, 0) == 1;
}

}  // namespace belay::test
