// What happens to a system call that was trapped. x86-64 only: registers, and the few calls that have to be made by the task's own
// instructions. See syscall_dispatch.hpp.
#pragma once

#if defined(__SANITIZE_THREAD__)
#define BELAY_NO_SYSCALL_TRAPS "ThreadSanitizer makes system calls inside of itself, where none may be trapped"
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define BELAY_NO_SYSCALL_TRAPS "ThreadSanitizer makes system calls inside of itself, where none may be trapped"
#endif
#endif
#if !defined(BELAY_NO_SYSCALL_TRAPS) && !defined(__x86_64__)
#define BELAY_NO_SYSCALL_TRAPS "for x86-64 only"
#endif

#ifndef BELAY_NO_SYSCALL_TRAPS

#include <belay/observability/impl/machine.hpp>

#include <signal.h>
#include <ucontext.h>

#include <array>
#include <cstddef>
#include <cstdint>

extern "C" {
/// The kernel reads it at each system call of its thread: program order is all that the two need.
[[gnu::visibility("hidden"),
  gnu::tls_model("initial-exec")]] extern constinit thread_local volatile unsigned char belay_syscall_selector;
}

namespace belay::detail {

inline constexpr unsigned char selector_allow = 0;  // SYSCALL_DISPATCH_FILTER_ALLOW
inline constexpr unsigned char selector_block = 1;

/// As the kernel has it.
struct kernel_sigaction {
    void (*handler)(int) = nullptr;
    unsigned long flags = 0;
    void (*restorer)() = nullptr;
    unsigned long mask = 0;
};

using syscall_arguments = std::array<std::uint64_t, 6>;
inline std::uint64_t address(const void* of) noexcept { return reinterpret_cast<std::uint64_t>(of); }
inline constexpr std::size_t kernel_sigset_size = 8;

/// Here and now, past the C library: the result or -errno. `task`: of the task whose call it is, or null.
long perform_syscall(long number, const syscall_arguments& arguments, const ucontext_t* task = nullptr) noexcept;
/// Of a thread that sleeps: those of the task's own call, where the handler makes it in its place; else the same.
registers behind_a_trap(const registers& asleep) noexcept;
/// rt_sigaction(2). Zero, or -errno.
long kernel_action(int signal, const kernel_sigaction* wanted, kernel_sigaction* current) noexcept;

/// A handler of the program that holds SIGSYS back while it runs (sigfillset) could make no system call on a thread that is dispatched:
/// the kernel ends a process whose signal of its own making is blocked. So it holds back all others.
void let_sigsys_through(int signal) noexcept;

/// What a task asks for, but for SIGSYS: it cannot be held back, by a mask or while a handler runs, nor be handled by anybody else.
long perform_sigprocmask(const syscall_arguments& asked) noexcept;
long perform_sigaction(const syscall_arguments& asked) noexcept;

/// The handler of SIGSYS. Needs SA_SIGINFO and SA_NODEFER, an empty mask and no SA_ONSTACK: then a call that it makes is made with the
/// task's mask and on the task's stack, and is interrupted by signals, and begun again after them, as the task's own would be.
void on_trapped_syscall(int signal, siginfo_t* info, void* context) noexcept;

}  // namespace belay::detail

#endif
