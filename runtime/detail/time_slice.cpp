#include <belay/runtime/detail/time_slice.hpp>

#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace belay::detail {

void set_time_slice(std::uint64_t ns) noexcept {
    struct {  // struct sched_attr of linux/sched/types.h, whose header clashes with glibc's
        std::uint32_t size = 48;
        std::uint32_t policy = 0;  // SCHED_OTHER
        std::uint64_t flags = 0;
        std::int32_t nice = 0;
        std::uint32_t priority = 0;
        std::uint64_t runtime_ns = 0;
        std::uint64_t deadline_ns = 0;
        std::uint64_t period_ns = 0;
    } attributes;
    attributes.runtime_ns = ns;
    errno = 0;
    attributes.nice = ::getpriority(PRIO_PROCESS, 0);  // of this thread: kept
    if (::sched_getscheduler(0) == SCHED_OTHER && errno == 0) (void)::syscall(SYS_sched_setattr, 0, &attributes, 0U);
}

}  // namespace belay::detail
