// What others hold addresses of for ever must not be unloaded: belay may have come with a plugin.
#pragma once

#include <dlfcn.h>

namespace belay::detail {

/// The module that `address` lies in stays when it is closed by dlclose(). Nothing happens where it cannot be closed anyway.
inline void keep_loaded(const void* address) noexcept {
    Dl_info module{};
    if (::dladdr(address, &module) != 0 && module.dli_fname != nullptr)
        ::dlopen(module.dli_fname, RTLD_NOW | RTLD_NOLOAD | RTLD_NODELETE);
}

}  // namespace belay::detail
