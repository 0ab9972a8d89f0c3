// Locks of the process in children of fork().
#pragma once

#include <belay/runtime/detail/held_guards.hpp>

#include <pthread.h>

namespace belay::detail {

/// Once per lock: takes what `lock_of()` returns over every fork(), so that the child has it free and what it guards whole; no other
/// thread will be there to release it. For locks that are held for a few instructions, under which no other lock is taken.
template <auto lock_of>
void hold_at_fork() noexcept {
    auto release = [] {
        own_code mine;
        lock_of().unlock();
    };
    ::pthread_atfork(
        [] {
            own_code mine;
            lock_of().lock();
        },
        release, release);
}

}  // namespace belay::detail
