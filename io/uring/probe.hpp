// Finds out whether io_uring works here, by using it: profiles exist that allow the set-up and refuse the rest.
// Private to io.
#pragma once

#include <string>

namespace belay::detail::uring {

struct probe_result {
    int error = 0;       ///< errno; 0 when it works
    std::string reason;  ///< one sentence; cause and remedy when it does not work
    [[nodiscard]] bool works() const noexcept { return error == 0; }
};

[[nodiscard]] probe_result probe();

}  // namespace belay::detail::uring
