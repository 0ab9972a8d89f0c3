// The locks of the C library, and so those of the standard library and of everything that is built on either: what a task locks
// is noted, and forgotten when it is unlocked. If a task comes back to its worker with something noted, it was suspended with it.
#include <belay/observability/guard/lock_waits.hpp>

#include <pthread.h>
#include <threads.h>
#include <time.h>

#include <cerrno>

namespace {

using belay::guard::hooks;

bool holds(int result) noexcept { return result == 0 || result == EOWNERDEAD; }

enum class wait : bool { may, must_not };  // what the caller had asked for: one that gives up keeps to no order
enum class share : bool { no, yes };

/// `top` is not null.
[[gnu::always_inline]] inline int note(const belay::detail::guard_hooks* h, const void* top, int result, const void* lock,
                                       wait allowed = wait::must_not, share with = share::no) noexcept {
    if (!holds(result)) return result;
    belay::detail::call_place place;
    belay::guard::walk(__builtin_frame_address(0), top, place);
    if (allowed == wait::may && h->holds_another(lock)) h->taking(lock, place);
    h->locked(lock, place, with == share::yes);
    return result;
}
/// Before a call that may wait for the lock.
[[gnu::always_inline]] inline void announce(const void* lock) noexcept {
    const auto* h = hooks();
    const void* top = belay::guard::inside(h);
    if (top == nullptr || !h->holds_another(lock)) return;
    belay::detail::call_place place;
    belay::guard::walk(__builtin_frame_address(0), top, place);
    h->taking(lock, place);
}
[[gnu::always_inline]] inline int noted(int result, const void* lock, share with = share::no) noexcept {
    const auto* h = hooks();
    const void* top = belay::guard::inside(h);
    return top == nullptr ? result : note(h, top, result, lock, wait::must_not, with);
}

/// Without the wait, which is the rule, it is no call that blocks: `attempt` comes first. A sanitizer that has `intercepted` the call,
/// though, must see what was called. `attempt` and `wait_for` are next_...(), which look for their function when they are needed.
template <class Lock>
[[gnu::always_inline]] inline int lock(Lock* m, const char* function, bool intercepted, auto attempt, auto wait_for,
                                       share with = share::no) noexcept {
    const auto* h = hooks();
    const void* top = belay::guard::inside(h);
    if (top == nullptr) [[likely]]
        return wait_for()(m);
    if (!intercepted) {
        int result = attempt()(m);
        if (result != EBUSY) return note(h, top, result, m, with == share::yes ? wait::must_not : wait::may, with);
    }
    if (with == share::no) announce(m);
    return note(h, top, belay::guard::observe_lock(function, wait_for(), m), m, wait::must_not, with);
}

inline void forget(const void* lock) noexcept {
    const auto* h = hooks();
    if (belay::guard::inside(h) != nullptr) h->unlocked(lock);
}

}  // namespace

BELAY_GUARD(int, pthread_mutex_trylock, (pthread_mutex_t * m), noexcept) { return noted(next_pthread_mutex_trylock()(m), m); }
BELAY_GUARD(int, pthread_mutex_lock, (pthread_mutex_t * m), noexcept) {
    return lock(m, "pthread_mutex_lock", BELAY_INTERCEPTED(pthread_mutex_lock) != nullptr, next_pthread_mutex_trylock,
                next_pthread_mutex_lock);
}
BELAY_GUARD(int, pthread_mutex_timedlock, (pthread_mutex_t * m, const timespec* until), noexcept) {
    return noted(belay::guard::observe_lock("pthread_mutex_timedlock", next_pthread_mutex_timedlock(), m, until), m);
}
BELAY_GUARD(int, pthread_mutex_clocklock, (pthread_mutex_t * m, clockid_t clock, const timespec* until), noexcept) {
    return noted(belay::guard::observe_lock("pthread_mutex_clocklock", next_pthread_mutex_clocklock(), m, clock, until), m);
}
BELAY_GUARD(int, pthread_mutex_unlock, (pthread_mutex_t * m), noexcept) {
    forget(m);
    return next_pthread_mutex_unlock()(m);
}

BELAY_GUARD(int, pthread_rwlock_tryrdlock, (pthread_rwlock_t * m), noexcept) {
    return noted(next_pthread_rwlock_tryrdlock()(m), m, share::yes);
}
BELAY_GUARD(int, pthread_rwlock_trywrlock, (pthread_rwlock_t * m), noexcept) {
    return noted(next_pthread_rwlock_trywrlock()(m), m);
}
BELAY_GUARD(int, pthread_rwlock_rdlock, (pthread_rwlock_t * m), noexcept) {
    return lock(m, "pthread_rwlock_rdlock", BELAY_INTERCEPTED(pthread_rwlock_rdlock) != nullptr, next_pthread_rwlock_tryrdlock,
                next_pthread_rwlock_rdlock, share::yes);
}
BELAY_GUARD(int, pthread_rwlock_wrlock, (pthread_rwlock_t * m), noexcept) {
    return lock(m, "pthread_rwlock_wrlock", BELAY_INTERCEPTED(pthread_rwlock_wrlock) != nullptr, next_pthread_rwlock_trywrlock,
                next_pthread_rwlock_wrlock);
}
BELAY_GUARD(int, pthread_rwlock_timedrdlock, (pthread_rwlock_t * m, const timespec* until), noexcept) {
    return noted(belay::guard::observe_lock("pthread_rwlock_timedrdlock", next_pthread_rwlock_timedrdlock(), m, until), m,
                 share::yes);
}
BELAY_GUARD(int, pthread_rwlock_timedwrlock, (pthread_rwlock_t * m, const timespec* until), noexcept) {
    return noted(belay::guard::observe_lock("pthread_rwlock_timedwrlock", next_pthread_rwlock_timedwrlock(), m, until), m);
}
BELAY_GUARD(int, pthread_rwlock_clockrdlock, (pthread_rwlock_t * m, clockid_t clock, const timespec* until), noexcept) {
    return noted(belay::guard::observe_lock("pthread_rwlock_clockrdlock", next_pthread_rwlock_clockrdlock(), m, clock, until), m,
                 share::yes);
}
BELAY_GUARD(int, pthread_rwlock_clockwrlock, (pthread_rwlock_t * m, clockid_t clock, const timespec* until), noexcept) {
    return noted(belay::guard::observe_lock("pthread_rwlock_clockwrlock", next_pthread_rwlock_clockwrlock(), m, clock, until), m);
}
BELAY_GUARD(int, pthread_rwlock_unlock, (pthread_rwlock_t * m), noexcept) {
    forget(m);
    return next_pthread_rwlock_unlock()(m);
}

BELAY_GUARD(int, pthread_spin_lock, (pthread_spinlock_t * m), noexcept) {
    announce(const_cast<const int*>(m));
    return noted(next_pthread_spin_lock()(m), const_cast<const int*>(m));
}
BELAY_GUARD(int, pthread_spin_trylock, (pthread_spinlock_t * m), noexcept) {
    return noted(next_pthread_spin_trylock()(m), const_cast<const int*>(m));
}
BELAY_GUARD(int, pthread_spin_unlock, (pthread_spinlock_t * m), noexcept) {
    forget(const_cast<const int*>(m));
    return next_pthread_spin_unlock()(m);
}

BELAY_GUARD(int, mtx_lock, (mtx_t * m), ) {
    announce(m);
    return noted(belay::guard::observe_lock("mtx_lock", next_mtx_lock(), m), m);
}
BELAY_GUARD(int, mtx_trylock, (mtx_t * m), ) { return noted(next_mtx_trylock()(m), m); }
BELAY_GUARD(int, mtx_timedlock, (mtx_t * m, const timespec* until), ) {
    return noted(belay::guard::observe_lock("mtx_timedlock", next_mtx_timedlock(), m, until), m);
}
BELAY_GUARD(int, mtx_unlock, (mtx_t * m), ) {
    forget(m);
    return next_mtx_unlock()(m);
}
