// What differs between processors when a stack is read.
#pragma once

#include <ucontext.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace belay::detail {

struct registers {
    std::uint64_t pc = 0;
    std::uint64_t sp = 0;
    std::uint64_t fp = 0;
};

inline registers registers_of(const ucontext_t& context) noexcept {
#if defined(__x86_64__)
    const auto* r = context.uc_mcontext.gregs;
    return {static_cast<std::uint64_t>(r[REG_RIP]), static_cast<std::uint64_t>(r[REG_RSP]),
            static_cast<std::uint64_t>(r[REG_RBP])};
#elif defined(__aarch64__)
    return {context.uc_mcontext.pc, context.uc_mcontext.sp, context.uc_mcontext.regs[29]};
#else
    (void)context;
    return {};  // no native stacks on this processor; everything else of a report is there
#endif
}

/// Bytes before a return address that is_after_call() looks at.
inline constexpr std::size_t call_window = 8;

/// True if the code before a return address may be a call. `before` are the call_window bytes that end at it.
inline bool is_after_call(const std::uint8_t* before) noexcept {
#if defined(__x86_64__)
    const std::uint8_t* end = before + call_window;
    if (end[-5] == 0xe8) return true;  // call rel32
    // call r/m: ff /2, with 2 to 7 bytes of instruction
    for (int length = 2; length <= 7; ++length)
        if (end[-length] == 0xff && ((end[-length + 1] >> 3U) & 7U) == 2) return true;
    return false;
#elif defined(__aarch64__)
    std::uint32_t word = 0;
    std::memcpy(&word, before + call_window - 4, sizeof word);
    return (word & 0xfc000000U) == 0x94000000U || (word & 0xfffffc1fU) == 0xd63f0000U;  // bl, blr
#else
    (void)before;
    return false;
#endif
}

}  // namespace belay::detail
