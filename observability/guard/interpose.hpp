// How belay::guard stands in front of a function of the C library.
//
// Our definition of `read` comes before libc's in the order in which the dynamic linker looks for it, so everything in the process
// that calls read through its symbol comes here, whatever library it is in. The next definition in that order is found by
// dlsym(RTLD_NEXT). Under a sanitizer of Clang there is none in that order: its interceptor is in the program itself, where our
// definition has replaced it, and is reached by its other name. (GCC's sanitizers are shared libraries and come next.) Compiled
// without any sanitizer: calls come from before one has begun, and from inside it. Preloaded, the guard is what an interceptor of
// the program finds next, and never calls it.
#pragma once

#include <belay/runtime/detail/guard_hooks.hpp>

#include <dlfcn.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace belay::guard {

/// Null until a runtime was made.
extern std::atomic<const detail::guard_hooks*> attached;

/// The task that the calling thread is in. No stack_top: leave the call alone.
inline detail::task_context here(const detail::guard_hooks* hooks) noexcept {
    return hooks != nullptr ? hooks->here() : detail::task_context{};
}

/// Its stack_top alone.
inline const void* inside(const detail::guard_hooks* hooks) noexcept { return hooks != nullptr ? hooks->inside() : nullptr; }

/// acquire, pairs with belay_guard_attach(): the table is complete.
inline const detail::guard_hooks* hooks() noexcept { return attached.load(std::memory_order_acquire); }

/// The return addresses above `frame`, a frame pointer, as far as frames have one and lie below `top`.
void walk(const void* frame, const void* top, detail::call_place& place) noexcept;

/// A function pointer that is looked up at the first call.
template <class F>
class next_function {
public:
    constexpr next_function(const char* name) noexcept : name_{name} {}

    /// `interceptor`: the sanitizer's, or null.
    F* get(F* interceptor) noexcept {
        if (interceptor != nullptr) return interceptor;
        // Relaxed: everybody finds the same, and there is nothing behind it.
        void* found = found_.load(std::memory_order_relaxed);
        if (found == nullptr) [[unlikely]]
            found = look_up();
        return reinterpret_cast<F*>(found);
    }

private:
    void* look_up() noexcept {
        void* found = nullptr;
#if defined(__x86_64__)
        // glibc keeps an older one for programs of before 2003, with another layout; dlsym would give that one.
        if (std::string_view{name_}.starts_with("pthread_cond_")) found = ::dlvsym(RTLD_NEXT, name_, "GLIBC_2.3.2");
#endif
        if (found == nullptr) found = ::dlsym(RTLD_NEXT, name_);
        if (found == nullptr) __builtin_trap();  // a C library without this function cannot have called us by its name
        found_.store(found, std::memory_order_relaxed);
        return found;
    }
    const char* name_;
    std::atomic<void*> found_{nullptr};
};

}  // namespace belay::guard

#ifdef BELAY_GUARD_PRELOAD
#define BELAY_INTERCEPTOR(result, name, parameters, exceptions)
#define BELAY_INTERCEPTED(name) nullptr
#else
#define BELAY_INTERCEPTOR(result, name, parameters, exceptions) \
    extern "C" __attribute__((weak)) result __interceptor_##name parameters exceptions;
#define BELAY_INTERCEPTED(name) (&__interceptor_##name)
#endif

// BELAY_GUARD(int, pthread_mutex_lock, (pthread_mutex_t* m), noexcept) { ... next_pthread_mutex_lock()(m) ... }
#define BELAY_GUARD(result, name, parameters, exceptions)                                                   \
    BELAY_INTERCEPTOR(result, name, parameters, exceptions)                                                 \
    namespace {                                                                                             \
    using type_of_##name = result parameters exceptions;                                                    \
    constinit ::belay::guard::next_function<type_of_##name> looked_up_##name{#name};                        \
    inline type_of_##name* next_##name() noexcept { return looked_up_##name.get(BELAY_INTERCEPTED(name)); } \
    }                                                                                                       \
    extern "C" __attribute__((visibility("default"))) result name parameters exceptions
