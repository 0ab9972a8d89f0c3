// Calls that wait for time, threads and processes.
#include <belay/observability/guard/calls.hpp>

#include <mqueue.h>
#include <netdb.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/msg.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

#include <linux/futex.h>

#include <cstdarg>
#include <cstdio>
#include <cstdlib>

using belay::guard::observe;

BELAY_WATCH(int, nanosleep, -1, (const timespec* length, timespec* rest), (length, rest))
BELAY_WATCH(int, clock_nanosleep, -1, (clockid_t clock, int flags, const timespec* length, timespec* rest),
            (clock, flags, length, rest))
BELAY_WATCH(int, usleep, -1, (useconds_t length), (length))
BELAY_WATCH(unsigned, sleep, -1, (unsigned length), (length))
BELAY_WATCH(int, thrd_sleep, -1, (const timespec* length, timespec* rest), (length, rest))

BELAY_WATCH(int, sem_wait, -1, (sem_t * s), (s))
BELAY_WATCH(int, sem_timedwait, -1, (sem_t * s, const timespec* until), (s, until))
BELAY_WATCH(int, sem_clockwait, -1, (sem_t * s, clockid_t clock, const timespec* until), (s, clock, until))
BELAY_WATCH(int, pthread_join, -1, (pthread_t thread, void** result), (thread, result))
BELAY_WATCH(int, pthread_clockjoin_np, -1, (pthread_t thread, void** result, clockid_t clock, const timespec* until),
            (thread, result, clock, until))
BELAY_WATCH(int, thrd_join, -1, (thrd_t thread, int* result), (thread, result))

BELAY_GUARD(int, pthread_timedjoin_np, (pthread_t thread, void** result, const timespec* until), ) {
    return observe("pthread_timedjoin_np", -1, next_pthread_timedjoin_np(), thread, result, until);
}
BELAY_GUARD(int, pthread_barrier_wait, (pthread_barrier_t * barrier), noexcept) {
    return observe("pthread_barrier_wait", -1, next_pthread_barrier_wait(), barrier);
}
BELAY_WATCH(int, pause, -1, (), ())
BELAY_WATCH(int, sigwait, -1, (const sigset_t* set, int* signal), (set, signal))
BELAY_WATCH(int, sigwaitinfo, -1, (const sigset_t* set, siginfo_t* info), (set, info))
BELAY_WATCH(int, sigtimedwait, -1, (const sigset_t* set, siginfo_t* info, const timespec* limit), (set, info, limit))
BELAY_WATCH(int, sigsuspend, -1, (const sigset_t* mask), (mask))
BELAY_WATCH(pid_t, wait, -1, (int* status), (status))
BELAY_GUARD(pid_t, wait4, (pid_t who, int* status, int options, rusage* usage), noexcept) {
    return observe("wait4", -1, next_wait4(), who, status, options, usage);
}
BELAY_WATCH(pid_t, waitpid, -1, (pid_t who, int* status, int options), (who, status, options))
BELAY_WATCH(int, waitid, -1, (idtype_t type, id_t who, siginfo_t* info, int options), (type, who, info, options))
BELAY_WATCH(int, system, -1, (const char* command), (command))
BELAY_WATCH(int, pclose, -1, (FILE * stream), (stream))
BELAY_WATCH(int, getaddrinfo, -1, (const char* host, const char* service, const addrinfo* hints, addrinfo** found),
            (host, service, hints, found))

BELAY_WATCH(int, getnameinfo, -1,
            (const sockaddr* address, socklen_t size, char* host, socklen_t host_size, char* service, socklen_t service_size,
             int flags),
            (address, size, host, host_size, service, service_size, flags))
BELAY_WATCH(hostent*, gethostbyname, -1, (const char* host), (host))
BELAY_WATCH(hostent*, gethostbyaddr, -1, (const void* address, socklen_t size, int family), (address, size, family))

// Message queues and semaphores, of POSIX and of System V.
BELAY_WATCH(ssize_t, mq_receive, queue, (mqd_t queue, char* to, std::size_t n, unsigned* priority), (queue, to, n, priority))
BELAY_WATCH(ssize_t, mq_timedreceive, queue, (mqd_t queue, char* to, std::size_t n, unsigned* priority, const timespec* until),
            (queue, to, n, priority, until))
BELAY_WATCH(int, mq_send, queue, (mqd_t queue, const char* from, std::size_t n, unsigned priority), (queue, from, n, priority))
BELAY_WATCH(int, mq_timedsend, queue, (mqd_t queue, const char* from, std::size_t n, unsigned priority, const timespec* until),
            (queue, from, n, priority, until))
BELAY_WATCH(ssize_t, msgrcv, -1, (int queue, void* to, std::size_t n, long type, int flags), (queue, to, n, type, flags))
BELAY_WATCH(int, msgsnd, -1, (int queue, const void* from, std::size_t n, int flags), (queue, from, n, flags))
BELAY_GUARD(int, semop, (int set, sembuf* operations, std::size_t n), noexcept) {
    return observe("semop", -1, next_semop(), set, operations, n);
}
BELAY_GUARD(int, semtimedop, (int set, sembuf* operations, std::size_t n, const timespec* limit), noexcept) {
    return observe("semtimedop", -1, next_semtimedop(), set, operations, n, limit);
}

BELAY_WATCH(int, cnd_wait, -1, (cnd_t * c, mtx_t* m), (c, m))
BELAY_WATCH(int, cnd_timedwait, -1, (cnd_t * c, mtx_t* m, const timespec* until), (c, m, until))
BELAY_WATCH(int, pthread_cond_wait, -1, (pthread_cond_t * c, pthread_mutex_t* m), (c, m))
BELAY_WATCH(int, pthread_cond_timedwait, -1, (pthread_cond_t * c, pthread_mutex_t* m, const timespec* until), (c, m, until))
BELAY_WATCH(int, pthread_cond_clockwait, -1, (pthread_cond_t * c, pthread_mutex_t* m, clockid_t clock, const timespec* until),
            (c, m, clock, until))

// std::atomic::wait, std::latch, std::barrier and std::counting_semaphore wait through it.
BELAY_GUARD(long, syscall, (long number, ...), noexcept) {
    std::va_list rest;
    va_start(rest, number);
    long a = va_arg(rest, long), b = va_arg(rest, long), c = va_arg(rest, long);
    long d = va_arg(rest, long), e = va_arg(rest, long), f = va_arg(rest, long);
    va_end(rest);
    if (number != SYS_futex || ((b & FUTEX_CMD_MASK) != FUTEX_WAIT && (b & FUTEX_CMD_MASK) != FUTEX_WAIT_BITSET))
        return next_syscall()(number, a, b, c, d, e, f);
    return observe("futex", -1, next_syscall(), number, a, b, c, d, e, f);
}
