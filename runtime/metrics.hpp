// What a runtime counts. Counters have one writer each (their worker), are relaxed, and are summed when scraped.
#pragma once

#include <belay/runtime/driver.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace belay {

/// A worker's counters at one moment. All totals count from the start of the runtime.
struct worker_metrics {
    std::uint64_t polls = 0;            ///< times a task was resumed
    std::uint64_t spawned = 0;          ///< tasks spawned on this worker, branches excluded
    std::uint64_t completed = 0;        ///< tasks that ended here with a value
    std::uint64_t failed = 0;           ///< ... with an error
    std::uint64_t stopped = 0;          ///< ... as stopped
    std::uint64_t steals = 0;           ///< tasks taken from another worker's queues
    std::uint64_t parks = 0;            ///< times the worker went to sleep in its driver
    std::uint64_t wakeups = 0;          ///< times it was woken by a notification
    std::uint64_t budget_yields = 0;    ///< tasks that were made to yield by their budget
    std::uint64_t timers_fired = 0;
    std::uint64_t takeovers = 0;        ///< times a neighbour took over its I/O, timers or queues while it was stuck
    std::uint64_t busy_ns = 0;          ///< estimated from samples: time inside tasks
    std::uint64_t io_submitted = 0;
    std::uint64_t io_completed = 0;
    std::uint64_t io_enters = 0;        ///< system calls of the driver
    std::uint64_t io_overflows = 0;
    std::array<std::uint64_t, io_opcode_count> io_completed_by_opcode{};
    std::size_t queue_depth = 0;        ///< ready tasks in its own queues
    std::size_t io_in_flight = 0;
    std::size_t timers = 0;             ///< armed
};

/// A blocking_pool, a cpu_pool, or the runtime's own pool of spawn_blocking, at one moment.
struct blocking_pool_metrics {
    std::string name;
    std::size_t threads = 0;
    std::size_t idle = 0;
    std::size_t running = 0;            ///< functions that run
    std::size_t queued = 0;             ///< functions that wait for a thread
    std::size_t waiting = 0;            ///< tasks that wait for room in the queue
    std::uint64_t completed = 0;
    std::uint64_t rejected = 0;         ///< refused: the queue was full (when_full::reject), or the pool closed
    std::uint64_t expired = 0;          ///< not started within max_wait
    std::uint64_t queue_wait_ns = 0;    ///< summed over all started functions
    std::uint64_t run_ns = 0;           ///< summed over all completed functions
};

/// How long the scopes of one name took to end once they were stopped: from the request until the last child had ended. Timeouts are
/// scopes of the name "timeout".
struct stop_latency_metrics {
    std::string scope;  ///< its name; the first 31 names that are stopped have a row each, "(others)" has the rest
    std::uint64_t count = 0;  ///< scopes that were stopped and have ended
    std::uint64_t sum_ns = 0;
    std::uint64_t max_ns = 0;  ///< the longest since the start of the runtime
};

struct runtime_metrics {
    std::string runtime;  ///< the runtime's name
    std::string backend;  ///< "uring" or "asio"
    std::string backend_reason;
    std::size_t live_tasks = 0;  ///< spawned and not ended
    std::size_t injected = 0;  ///< depth of the global injection queue
    std::uint64_t ready_wait_ns = 0;  ///< what a ready task has waited for a worker at least, lately; 0 with starve=off
    std::vector<worker_metrics> workers;  ///< stand-ins of block_in_place come last
    std::size_t in_place = 0;  ///< workers inside block_in_place(), stand-ins included
    std::size_t stand_ins = 0;  ///< threads made to stand in for them
    std::size_t stand_ins_on_duty = 0;  ///< less than in_place: threads are missing, or the sections are short
    std::vector<blocking_pool_metrics> pools;
    std::vector<stop_latency_metrics> stop_latency;  ///< of the names that have been stopped
};

}  // namespace belay
