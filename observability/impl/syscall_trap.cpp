// The handler of SIGSYS: makes the call in place of the task, and notes it if it could have put the worker to sleep.
//
// It runs between two instructions of anything, the allocator and the dynamic linker included: it allocates nothing and takes no lock.
#include <belay/observability/impl/syscall_trap.hpp>

#ifndef BELAY_NO_SYSCALL_TRAPS

#include <belay/observability/impl/allow_registry.hpp>
#include <belay/observability/impl/syscall_site.hpp>
#include <belay/observability/impl/syscall_text.hpp>
#include <belay/runtime/detail/clock.hpp>
#include <belay/runtime/detail/guard_hooks.hpp>
#include <belay/runtime/detail/held_guards.hpp>
#include <belay/runtime/detail/read_memory.hpp>
#include <belay/runtime/detail/worker.hpp>

#include <linux/audit.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>

#include <cerrno>
#include <cstring>

extern "C" {
[[gnu::used]] constinit thread_local volatile unsigned char belay_syscall_selector = belay::detail::selector_allow;
/// Where the task goes on behind a call that it makes itself, see below.
[[gnu::used, gnu::visibility("hidden"),
  gnu::tls_model("initial-exec")]] constinit thread_local std::uint64_t belay_syscall_return = 0;

[[gnu::visibility("hidden")]] void belay_syscall_in_place() noexcept;
[[gnu::visibility("hidden")]] void belay_syscall_with_new_stack() noexcept;
}

// Calls after which there are two threads: the handler cannot make them, since the other one would find itself in it, on a stack that has no
// such frame, or the first would find its frame overwritten by a child of vfork(). So it returns to these instructions in place of the
// task's, with the byte at "allow": registers and stack are the task's. The call itself leaves rcx and r11 free to use.
//
// Nobody traps the child, so it may go on at once. What it finds it by: the word below its new stack, which the handler has written; on the
// same stack the thread-local, which it shares with its parent, or has a copy of. That is read before calls are trapped again: from then on
// the handler of a signal may make such a call, too.
asm(R"(
    .pushsection .text
    .p2align 4
    .hidden belay_syscall_with_new_stack
    .globl belay_syscall_with_new_stack
    .type belay_syscall_with_new_stack, @function
belay_syscall_with_new_stack:
    syscall
    testq %rax, %rax
    jnz 1f
    jmp *-8(%rsp)
    .size belay_syscall_with_new_stack, . - belay_syscall_with_new_stack
    .hidden belay_syscall_in_place
    .globl belay_syscall_in_place
    .type belay_syscall_in_place, @function
belay_syscall_in_place:
    syscall
1:  movq belay_syscall_return@gottpoff(%rip), %rcx
    movq %fs:(%rcx), %rcx
    movq belay_syscall_selector@gottpoff(%rip), %r11
    movb $1, %fs:(%r11)
    jmp *%rcx
    .size belay_syscall_in_place, . - belay_syscall_in_place
    .popsection
)");

namespace belay::detail {

namespace {

/// The task as it was stopped: what is written to `context` is what it goes on with.
struct trapped_call {
    ucontext_t& context;
    long number;
    syscall_arguments arguments;

    explicit trapped_call(ucontext_t& of) noexcept
        : context{of},
          number{static_cast<int>(of.uc_mcontext.gregs[REG_RAX])},  // the kernel looks at its lower half
          arguments{in(REG_RDI), in(REG_RSI), in(REG_RDX), in(REG_R10), in(REG_R8), in(REG_R9)} {}
    [[nodiscard]] std::uint64_t in(int which) const noexcept {
        return static_cast<std::uint64_t>(context.uc_mcontext.gregs[which]);
    }
    void set(int which, std::uint64_t value) const noexcept { context.uc_mcontext.gregs[which] = static_cast<greg_t>(value); }
    [[nodiscard]] std::uint64_t after() const noexcept { return in(REG_RIP); }
    /// Made by the handler of a signal there, whose stack may be too small for more than the call.
    [[nodiscard]] bool on_alternative_stack() const noexcept {
        return in(REG_RSP) - reinterpret_cast<std::uint64_t>(context.uc_stack.ss_sp) < context.uc_stack.ss_size;
    }
};

long voluntary_switches() noexcept {
    rusage usage{};
    return ::getrusage(RUSAGE_THREAD, &usage) == 0 ? usage.ru_nvcsw : 0;
}
std::int64_t clock_ns() noexcept {  // the one that belay::guard looks at, and no simulation's
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

/// Whose task the calling thread is in, if what it calls is that task's own doing and not allowed; or null.
worker* worker_to_tell() noexcept {
    worker* w = this_worker();
    if (w == nullptr || w->current() == nullptr || w->in_place()) return nullptr;
    return this_thread_guards().own_code == 0 && !this_thread_is_allowed() ? w : nullptr;
}

long perform_and_note(const trapped_call& call) noexcept {
    sleeping_syscall sleeping = may_sleep(call.number, call.arguments);
    worker* told = sleeping.name != nullptr && !call.on_alternative_stack() ? worker_to_tell() : nullptr;
    if (told == nullptr) return perform_syscall(call.number, call.arguments, &call.context);
    guarded_call done{sleeping.name, sleeping.fd, clock_ns(), 0, false, {}, {}};
    long switches = voluntary_switches();
    long result = perform_syscall(call.number, call.arguments, &call.context);
    done.ns = clock_ns() - done.began_ns;
    done.slept = voluntary_switches() != switches;
    if (find_syscall_site(call.after(), done.place)) told->note_call(done);
    return result;
}

/// The end of a handler that does not return by the C library's instruction: to where that handler would return, now.
void return_from_handler(const trapped_call& call) noexcept {
    const auto& interrupted = *reinterpret_cast<const ucontext_t*>(call.in(REG_RSP));
    call.context.uc_flags = interrupted.uc_flags;
    call.context.uc_stack = interrupted.uc_stack;
    call.context.uc_mcontext = interrupted.uc_mcontext;
    std::memcpy(&call.context.uc_sigmask, &interrupted.uc_sigmask, kernel_sigset_size);
    ::sigdelset(&call.context.uc_sigmask, SIGSYS);
}

/// The stack of the thread or process that the call makes; 0: the caller's.
std::uint64_t new_stack(const trapped_call& call) noexcept {
    if (call.number == SYS_clone) return call.arguments[1];
    if (call.number != SYS_clone3) return 0;
    struct {  // the beginning of clone_args
        std::uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size;
    } given{};
    if (call.arguments[1] < sizeof given || !read_memory(reinterpret_cast<const void*>(call.arguments[0]), &given, sizeof given))
        return 0;  // the kernel refuses it
    return given.stack != 0 ? given.stack + given.stack_size : 0;
}

void send_to_its_own_call(const trapped_call& call) noexcept {
    belay_syscall_return = call.after();
    std::uint64_t stack = new_stack(call);
    if (stack != 0) std::memcpy(reinterpret_cast<void*>(stack - sizeof stack), &belay_syscall_return, sizeof stack);
    call.set(REG_RIP, stack != 0 ? reinterpret_cast<std::uint64_t>(&belay_syscall_with_new_stack)
                                 : reinterpret_cast<std::uint64_t>(&belay_syscall_in_place));
}

/// What the kernel will put back when this handler returns has to be what the call has made of it.
void keep_effects(const trapped_call& call) noexcept {
    if (call.number == SYS_rt_sigprocmask) {
        perform_syscall(SYS_rt_sigprocmask, {SIG_BLOCK, 0, address(&call.context.uc_sigmask), kernel_sigset_size, 0, 0});
        ::sigdelset(&call.context.uc_sigmask, SIGSYS);
    } else if (call.number == SYS_sigaltstack) {
        perform_syscall(SYS_sigaltstack, {0, address(&call.context.uc_stack), 0, 0, 0, 0});
    }
}

long perform(const trapped_call& call) noexcept {
    switch (call.number) {
    case SYS_rt_sigprocmask: return perform_sigprocmask(call.arguments);
    case SYS_rt_sigaction: return perform_sigaction(call.arguments);
    default: return perform_and_note(call);
    }
}

/// Returns what the byte is to say when the task goes on.
unsigned char serve(const trapped_call& call) noexcept {
    switch (call.number) {
    case SYS_rt_sigreturn: return_from_handler(call); return selector_block;
    case SYS_clone:
    case SYS_clone3:
    case SYS_fork:
    case SYS_vfork: send_to_its_own_call(call); return selector_allow;
    default: break;
    }
    long result = perform(call);
    if (result == 0) keep_effects(call);
    call.set(REG_RAX, static_cast<std::uint64_t>(result));
    return selector_block;
}

/// Sent by somebody, or by a seccomp filter: it does what it did before.
void do_default() noexcept {
    ::signal(SIGSYS, SIG_DFL);
    ::raise(SIGSYS);
}

}  // namespace

void on_trapped_syscall(int, siginfo_t* info, void* raw) noexcept {
    constexpr int user_dispatch = 2;  // SYS_USER_DISPATCH, which the C library's headers do not have
    int saved = errno;
    belay_syscall_selector = selector_allow;
    if (info->si_code != user_dispatch) return do_default();
    trapped_call call{*static_cast<ucontext_t*>(raw)};
    if (info->si_arch !=
        AUDIT_ARCH_X86_64) {  // `int $0x80`, which has two bytes as well: made again, and nothing is trapped any more
        call.set(REG_RIP, call.after() - 2);
        return;
    }
    unsigned char next = serve(call);
    errno = saved;
    belay_syscall_selector = next;
}

}  // namespace belay::detail

#endif
