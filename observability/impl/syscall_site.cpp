#include <belay/observability/impl/syscall_site.hpp>

#include <dlfcn.h>
#include <elf.h>
#include <execinfo.h>
#include <link.h>

#include <algorithm>
#include <array>
#include <cstddef>

namespace belay::detail {
namespace {

struct code_range {
    std::uintptr_t first = 0;
    std::uintptr_t end = 0;
    [[nodiscard]] bool holds(std::uintptr_t at) const noexcept { return at >= first && at < end; }
};

// What calls on behalf of nobody's task: the allocator, with operator new and delete, of which one that stands in front has its own; UBSan,
// which writes to a pipe to learn if an object is there; and the look-up of a name, as belay::guard does at the first call of each function.
constexpr const char* functions_of_nobody[] = {
    "malloc",
    "calloc",
    "realloc",
    "free",
    "aligned_alloc",
    "posix_memalign",
    "memalign",
    "_Znwm",
    "_Znam",
    "_ZnwmRKSt9nothrow_t",
    "_ZnamRKSt9nothrow_t",
    "_ZnwmSt11align_val_t",
    "_ZnamSt11align_val_t",
    "_ZdlPv",
    "_ZdaPv",
    "_ZdlPvm",
    "_ZdaPvm",
    "_ZdlPvSt11align_val_t",
    "_ZdlPvmSt11align_val_t",
    "dlsym",
    "dlvsym",
    "__ubsan_handle_dynamic_type_cache_miss",
    "__ubsan_handle_dynamic_type_cache_miss_abort",
};

// Written once, before a handler can be called.
constinit code_range c_library{};
constinit std::array<code_range, std::size(functions_of_nobody)> nobodys{};

/// The whole module. Empty when it cannot be told: then nothing is left out of a stack.
code_range module_of(std::uintptr_t address) noexcept {
#ifdef DLFO_STRUCT_HAS_EH_DBASE  // glibc 2.35 and later
    dl_find_object found{};
    if (::_dl_find_object(reinterpret_cast<void*>(address), &found) == 0)
        return {reinterpret_cast<std::uintptr_t>(found.dlfo_map_start), reinterpret_cast<std::uintptr_t>(found.dlfo_map_end)};
#else
    (void)address;
#endif
    return {};
}

/// Whoever's it is: the C library's, or what stands in front of it.
code_range code_of(const char* function) noexcept {
    void* at = ::dlsym(RTLD_DEFAULT, function);
    Dl_info info{};
    void* symbol = nullptr;
    if (at == nullptr || ::dladdr1(at, &info, &symbol, RTLD_DL_SYMENT) == 0 || symbol == nullptr) return {};
    auto first = reinterpret_cast<std::uintptr_t>(info.dli_saddr);
    return {first, first + static_cast<const ElfW(Sym)*>(symbol)->st_size};
}

bool is_nobodys(std::uintptr_t at) noexcept {
    return std::ranges::any_of(nobodys, [at](const code_range& function) { return function.holds(at); });
}

}  // namespace

void prepare_syscall_sites(std::uintptr_t in_c_library) noexcept {
    std::array<void*, 4> ignored{};
    ::backtrace(ignored.data(), static_cast<int>(ignored.size()));  // its first call loads a library
    c_library = module_of(in_c_library);
    if (c_library.holds(reinterpret_cast<std::uintptr_t>(&prepare_syscall_sites))) c_library = {};  // a static program
    for (std::size_t i = 0; i < nobodys.size(); ++i) nobodys[i] = code_of(functions_of_nobody[i]);
}

bool find_syscall_site(std::uintptr_t pc, call_place& place) noexcept {
    constexpr std::size_t handlers_frames = 8;
    constexpr std::size_t librarys_frames = 16;
    std::array<void*, handlers_frames + librarys_frames + call_place::capacity> raw;
    // Not by frame pointers alone, which the C library does not have; and whoever has called it would be left out. The unwinder needs
    // no lock, and where it calls the kernel itself it does not wait.
    auto count = static_cast<std::size_t>(std::max(::backtrace(raw.data(), static_cast<int>(raw.size())), 0));
    auto at = [&](std::size_t i) { return reinterpret_cast<std::uintptr_t>(raw[i]) - 1; };  // in the call, and not behind it
    std::size_t first = 0;
    while (first < count && at(first) != pc - 1) ++first;  // our own, and the signal's frame
    if (first == count) {  // a stack that cannot be unwound
        place.depth = 1;
        place.callers[0] = pc - 1;
        return true;
    }
    std::size_t outside = first;
    while (outside < count && c_library.holds(at(outside))) ++outside;
    if (outside > first && outside < count) first = outside - 1;  // fflush(), and not what it calls
    place.depth = 0;
    for (std::size_t i = first; i < count; ++i) {
        if (is_nobodys(at(i))) return false;
        if (place.depth < place.capacity) place.callers[place.depth++] = at(i);
    }
    return true;
}

}  // namespace belay::detail
