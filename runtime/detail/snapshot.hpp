// Copies what a dump says of a task, without trusting that the task holds still.
#pragma once

#include <belay/runtime/detail/record.hpp>
#include <belay/runtime/observer.hpp>

namespace belay::detail {

class worker;
struct stop_node;

/// Of a task that cannot run meanwhile: it is suspended and pinned, or the caller is its worker.
void snapshot_record(const record& rec, task_snapshot& out) noexcept;

/// Of a task that is alive, whatever it does: its await chain is read only if it can be pinned where it is suspended. The
/// caller holds the lock of the record's shard, which a stop walk over it needs too: a walk would pass a pinned record by.
void snapshot_pinning(record& rec, task_snapshot& out) noexcept;

/// Of a task that has just suspended and that nobody holds there: read as a debugger would. False, and `out` empty, when it
/// moved meanwhile: it runs again, or has gone. Says "suspended", "running or ready" or "not started".
bool snapshot_unpinned(const record* rec, task_snapshot& out) noexcept;
/// The same for what does not change while it runs: without frames.
bool name_unpinned(const record* rec, task_snapshot& out) noexcept;

/// Of the task that a worker is running right now, from another thread: memory is read through the kernel, so a frame that
/// is freed meanwhile gives an error and no crash. False if the poll ended while it was read; `out` is then meaningless.
bool snapshot_running(const worker& w, std::uint64_t epoch, task_snapshot& out) noexcept;

/// The worker runs `rec` in that poll, and `top`, which is there, lies around it. Read in the same way.
bool is_running_below(const worker& w, std::uint64_t epoch, const record* rec, const stop_node& top) noexcept;

/// Of a snapshot that was kept: the code that its places are in may have been unloaded since.
bool can_be_shown(const task_snapshot& kept) noexcept;
bool can_be_shown(std::source_location kept) noexcept;

}  // namespace belay::detail
