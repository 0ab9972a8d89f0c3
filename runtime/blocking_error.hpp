// Why a function did not get a thread of a pool: the errors of blocking_pool::run, cpu_pool::run and spawn_blocking.
#pragma once

#include <stdexcept>
#include <string>

namespace belay {

/// The pool's queue is full, and the caller chose when_full::reject. The function was not started and is destroyed.
class blocking_queue_full : public std::runtime_error {
public:
    explicit blocking_queue_full(const std::string& pool)
        : std::runtime_error("belay: the queue of the pool '" + pool +
                             "' is full and the call said when_full::reject: try again later, raise max_queued or the number of "
                             "threads, or wait for room with when_full::suspend") {}
};

/// The function waited for longer than max_wait and will not be started any more.
class blocking_wait_exceeded : public std::runtime_error {
public:
    explicit blocking_wait_exceeded(const std::string& pool)
        : std::runtime_error("belay: no thread of the pool '" + pool +
                             "' was free within max_wait, and the function was not started: its functions take longer or come "
                             "more often than planned; raise the number of threads or max_wait, or call it less") {}
};

}  // namespace belay
