#include <belay/io/uring/setup_error.hpp>

#include <sys/resource.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <system_error>

namespace belay::detail::uring {
namespace {

// kernel.io_uring_disabled: 1 forbids it to processes without privilege, 2 to all. 0 when the kernel does not have it.
int disabled_sysctl() {
    int value = 0;
    std::ifstream("/proc/sys/kernel/io_uring_disabled") >> value;
    return value;
}

std::string memory_limit() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_MEMLOCK, &limit) != 0) return "unknown";
    if (limit.rlim_cur == RLIM_INFINITY) return "unlimited";
    return std::to_string(limit.rlim_cur / 1024) + " KiB";
}

}  // namespace

std::string explain_setup_error(int error) {
    switch (error) {
    case ENOSYS:
        return "ENOSYS: this kernel or sandbox (gVisor, a seccomp profile) has no io_uring. Remedy: run on Linux 6.1 or later "
               "and allow the system calls io_uring_setup, io_uring_enter and io_uring_register";
    case EPERM:
    case EACCES:
        if (int value = disabled_sysctl(); value != 0)
            return "EPERM: the sysctl kernel.io_uring_disabled is " + std::to_string(value) +
                   ". Remedy: sysctl kernel.io_uring_disabled=0, or add the process's group to kernel.io_uring_group";
        return "EPERM: a security policy forbids io_uring; Docker's default seccomp profile does. Remedy: run the container with "
               "a seccomp profile that allows io_uring_setup, io_uring_enter and io_uring_register (docker run --security-opt "
               "seccomp=profile.json)";
    case ENOMEM:
        return "ENOMEM: the memory of the rings does not fit into RLIMIT_MEMLOCK, which is " + memory_limit() +
               " for all processes of this user together; a worker needs about 100 KiB. Remedy: raise it (ulimit -l, "
               "LimitMEMLOCK= in a systemd unit, docker run --ulimit memlock=), or use fewer workers";
    case EMFILE:
    case ENFILE: return "EMFILE: no file descriptor is left for a ring. Remedy: raise RLIMIT_NOFILE (ulimit -n)";
    case EINVAL:
        return "EINVAL: this kernel's io_uring does not know cooperative task running. Remedy: run on Linux 6.1 or later";
    default: return std::string(std::strerror(error)) + " (errno " + std::to_string(error) + ") from io_uring_setup";
    }
}

void throw_setup_error(int error) {
    throw std::system_error(error, std::generic_category(), "belay: cannot set up an io_uring: " + explain_setup_error(error));
}

}  // namespace belay::detail::uring
