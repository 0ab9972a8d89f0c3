#include <belay/io/uring/kick.hpp>

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace belay::detail::uring {

bool enable_kick() noexcept {
    static const bool enabled = ::syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
    return enabled;
}

void kick() noexcept {
    if (enable_kick()) ::syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
}

}  // namespace belay::detail::uring
