// Makes a call in place of a task, in a way that shows whose call it is to whoever finds the thread asleep in it.
#include <belay/observability/impl/syscall_trap.hpp>

#ifndef BELAY_NO_SYSCALL_TRAPS

#include <belay/runtime/detail/read_memory.hpp>

#include <cstddef>

extern "C" {
[[gnu::visibility("hidden")]] long belay_perform_syscall(long number, const std::uint64_t* arguments, const void* task) noexcept;
/// Where it returns to.
[[gnu::visibility("hidden")]] void belay_syscall_performed() noexcept;
}

// The task's context is on top of the stack meanwhile: of a thread that sleeps the kernel tells the stack pointer, and no other register.
asm(R"(
    .pushsection .text
    .p2align 4
    .hidden belay_perform_syscall
    .globl belay_perform_syscall
    .type belay_perform_syscall, @function
belay_perform_syscall:
    .cfi_startproc
    pushq %rdx
    .cfi_adjust_cfa_offset 8
    movq %rdi, %rax
    movq (%rsi), %rdi
    movq 16(%rsi), %rdx
    movq 24(%rsi), %r10
    movq 32(%rsi), %r8
    movq 40(%rsi), %r9
    movq 8(%rsi), %rsi
    syscall
    .hidden belay_syscall_performed
    .globl belay_syscall_performed
belay_syscall_performed:
    addq $8, %rsp
    .cfi_adjust_cfa_offset -8
    ret
    .cfi_endproc
    .size belay_perform_syscall, . - belay_perform_syscall
    .popsection
)");

namespace belay::detail {

long perform_syscall(long number, const syscall_arguments& arguments, const ucontext_t* task) noexcept {
    return belay_perform_syscall(number, arguments.data(), task);
}

registers behind_a_trap(const registers& asleep) noexcept {
    if (asleep.pc != reinterpret_cast<std::uint64_t>(&belay_syscall_performed)) return asleep;
    const ucontext_t* task = nullptr;
    mcontext_t context{};
    if (!read_memory(reinterpret_cast<const void*>(asleep.sp), &task, sizeof task) || task == nullptr) return asleep;
    // Not all of a ucontext_t: what the kernel has written is smaller.
    const auto* from = reinterpret_cast<const std::byte*>(task) + offsetof(ucontext_t, uc_mcontext);
    if (!read_memory(from, &context.gregs, sizeof context.gregs)) return asleep;
    ucontext_t found{};
    found.uc_mcontext = context;
    return registers_of(found);
}

}  // namespace belay::detail

#endif
