// Who has made a system call that was trapped: the stack above it, from the function of the C library that the program called.
#pragma once

#include <belay/runtime/detail/call_place.hpp>

#include <cstdint>

namespace belay::detail {

/// Finds beforehand what a handler cannot look for. `in_c_library`: an address of its code. Once.
void prepare_syscall_sites(std::uintptr_t in_c_library) noexcept;

/// In the handler of a signal that the call was turned into; `pc` is where the call returns to. False: the memory allocator has made it,
/// for whoever needs memory now, or a sanitizer's check. The one waits for its own locks now and then, and no task could help that.
bool find_syscall_site(std::uintptr_t pc, call_place& place) noexcept;

}  // namespace belay::detail
