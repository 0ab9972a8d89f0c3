// Reading the stack of a sleeping thread from outside, and following frame pointers.
#include <belay/observability/impl/machine.hpp>
#include <belay/observability/impl/native_stack.hpp>
#include <belay/observability/impl/symbols.hpp>
#include <belay/observability/impl/syscall_trap.hpp>
#include <belay/runtime/detail/read_memory.hpp>

#include <algorithm>

namespace belay::detail {
namespace {

constexpr std::size_t page_size = 4096;
constexpr std::size_t pages_read = 16;  // 64 KiB: the frames of a system call are at the very top of the stack
constexpr std::size_t word = sizeof(std::uint64_t);

bool read_memory(std::uint64_t from, void* to, std::size_t bytes) noexcept {
    return detail::read_memory(reinterpret_cast<const void*>(from), to, bytes);
}

bool is_return_address(std::uint64_t address) noexcept {
    std::array<std::uint8_t, call_window> before{};
    return is_module_address(address) && read_memory(address - call_window, before.data(), before.size()) &&
           is_after_call(before.data());
}

// The words from `sp` upwards, as far as the stack is mapped and the buffer reaches.
struct stack_copy {
    std::uint64_t base = 0;
    std::size_t words = 0;
    std::array<std::uint64_t, pages_read * page_size / word> content;

    explicit stack_copy(std::uint64_t sp) noexcept : base{sp & ~std::uint64_t{word - 1}} {
        // Page by page: a transfer never ends inside one of its pieces.
        std::size_t bytes = page_size - base % page_size;
        auto* to = reinterpret_cast<char*>(content.data());
        for (std::size_t done = 0; done + bytes <= sizeof content; done += bytes, bytes = page_size) {
            if (!read_memory(base + done, to + done, bytes)) return;
            words = (done + bytes) / word;
        }
    }
    [[nodiscard]] bool holds(std::uint64_t address) const noexcept {
        return address >= base && address < base + words * word && address % word == 0;
    }
    [[nodiscard]] std::size_t index(std::uint64_t address) const noexcept { return (address - base) / word; }
    /// How many frames hang together from the pair (saved frame pointer, return address) at `at`.
    [[nodiscard]] int chain_length(std::size_t at) const noexcept {
        int length = 0;
        while (at + 1 < words && length < 4 && is_return_address(content[at + 1])) {
            ++length;
            auto up = content[at];
            if (!holds(up) || index(up) <= at) break;
            at = index(up);
        }
        return length;
    }
};

}  // namespace

void follow_frame_pointers(native_stack& stack, std::uint64_t sp, std::uint64_t fp) noexcept {
    constexpr std::uint64_t largest_frame = 1U << 20U;
    while (fp > sp && fp % word == 0 && fp - sp < largest_frame && stack.depth < native_stack::max_frames) {
        std::array<std::uint64_t, 2> pair{};  // saved frame pointer, return address
        if (!read_memory(fp, pair.data(), sizeof pair) || !is_return_address(pair[1])) return;
        stack.add(pair[1] - 1);
        sp = fp;
        fp = pair[0];
    }
}

native_stack walk_asleep(std::uint64_t sp, std::uint64_t pc) noexcept {
    constexpr int convincing_chain = 3;
    constexpr int most_guesses = 8;
    native_stack result;
#ifndef BELAY_NO_SYSCALL_TRAPS
    const auto task = behind_a_trap({pc, sp, 0});
    pc = task.pc;
    sp = task.sp;
#endif
    result.add(pc);
    stack_copy copy{sp};
    int guesses = 0;
    // Code without frame pointers (the C library) lies below the first frame that has one. Its return addresses are on the
    // stack too, among what earlier calls left there: those are guesses.
    for (std::size_t i = 0; i + 1 < copy.words; ++i) {
        if (copy.holds(copy.content[i]) && copy.index(copy.content[i]) > i && copy.chain_length(i) >= convincing_chain) {
            follow_frame_pointers(result, sp - 1, copy.base + i * word);
            return result;
        }
        if (guesses < most_guesses && is_return_address(copy.content[i])) {
            result.add(copy.content[i] - 1, true);
            ++guesses;
        }
    }
    return result;
}

}  // namespace belay::detail
