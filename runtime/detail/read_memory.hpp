// This process's memory as a debugger reads it.
#pragma once

#include <dlfcn.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cstddef>

namespace belay::detail {

/// Through the kernel: what is not mapped is an error and not a crash, and there is no data race in the language's sense. Returns how many
/// bytes were read, from the beginning on. Async-signal-safe. About 2 us.
inline std::size_t read_memory_up_to(const void* from, void* to, std::size_t bytes) noexcept {
    iovec local{to, bytes};
    iovec remote{const_cast<void*>(from), bytes};
    ssize_t got = ::process_vm_readv(::getpid(), &local, 1, &remote, 1, 0);
    return got > 0 ? static_cast<std::size_t>(got) : 0;
}

/// All of it, or false.
inline bool read_memory(const void* from, void* to, std::size_t bytes) noexcept {
    return read_memory_up_to(from, to, bytes) == bytes;
}

/// It is part of a program or library that is loaded, as vtables and the texts of source locations are. What lies where an object has
/// gone may be anything. Async-signal-safe.
inline bool is_loaded(const void* address) noexcept {
#if __GLIBC_PREREQ(2, 35)
    dl_find_object found{};
    return ::_dl_find_object(const_cast<void*>(address), &found) == 0;
#else
    return address != nullptr;
#endif
}

}  // namespace belay::detail
