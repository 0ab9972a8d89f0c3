// System calls that are about signals, where SIGSYS must get through.
#include <belay/observability/impl/syscall_trap.hpp>

#ifndef BELAY_NO_SYSCALL_TRAPS

#include <belay/runtime/detail/read_memory.hpp>

#include <sys/syscall.h>

#include <cerrno>

namespace belay::detail {
namespace {

constexpr unsigned long sigsys = 1UL << (SIGSYS - 1);

bool holds_back(const kernel_sigaction& action) noexcept {
    return (action.mask & sigsys) != 0 && action.handler != SIG_DFL && action.handler != SIG_IGN;
}

template <class T>
bool read_from(std::uint64_t where, T& to) noexcept {
    return where != 0 && read_memory(reinterpret_cast<const void*>(where), &to, sizeof to);
}

}  // namespace

long kernel_action(int signal, const kernel_sigaction* wanted, kernel_sigaction* current) noexcept {
    return perform_syscall(SYS_rt_sigaction,
                           {static_cast<std::uint64_t>(signal), address(wanted), address(current), kernel_sigset_size, 0, 0});
}

void let_sigsys_through(int signal) noexcept {
    kernel_sigaction now{};
    if (kernel_action(signal, nullptr, &now) != 0 || !holds_back(now)) return;
    now.mask &= ~sigsys;
    kernel_action(signal, &now, nullptr);
}

// In the two below what the task gives is changed before the kernel gets it, and not mended afterwards: in between a signal may come, to
// this worker or to another one, whose handler makes a call.

long perform_sigprocmask(const syscall_arguments& asked) noexcept {
    unsigned long mask = 0;
    if (static_cast<int>(asked[0]) == SIG_UNBLOCK || !read_from(asked[1], mask))
        return perform_syscall(SYS_rt_sigprocmask, asked);
    mask &= ~sigsys;
    return perform_syscall(SYS_rt_sigprocmask, {asked[0], address(&mask), asked[2], asked[3], 0, 0});
}

long perform_sigaction(const syscall_arguments& asked) noexcept {
    auto signal = static_cast<int>(asked[0]);
    if (asked[1] == 0) return perform_syscall(SYS_rt_sigaction, asked);
    if (signal == SIGSYS) return -EBUSY;  // that one is taken
    kernel_sigaction action{};
    if (read_from(asked[1], action) && holds_back(action)) {
        action.mask &= ~sigsys;
        return perform_syscall(SYS_rt_sigaction, {asked[0], address(&action), asked[2], asked[3], 0, 0});
    }
    long result = perform_syscall(SYS_rt_sigaction, asked);
    if (result == 0) let_sigsys_through(signal);  // where memory cannot be read so
    return result;
}

}  // namespace belay::detail

#endif
