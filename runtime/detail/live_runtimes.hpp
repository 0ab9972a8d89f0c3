// Where a debugger finds the runtimes of a process, in a core file too: see scripts/gdb/belay.py. Nothing else reads it.
#pragma once

#include <atomic>

namespace belay::detail {

class runtime_core;

/// A place for one runtime. Places are reused and never freed, so the list needs no lock, which a fork() could copy while it is
/// held, and is whole whenever the process dies.
struct runtime_place {
    std::atomic<runtime_core*> runtime{nullptr};
    runtime_place* next = nullptr;
};

/// The newest place. By this name the debugger asks for it. Ready before any constructor runs: a runtime may be a global.
extern constinit std::atomic<runtime_place*> runtime_places;

/// Throws std::bad_alloc.
void list_runtime(runtime_core& core);
void unlist_runtime(runtime_core& core) noexcept;

}  // namespace belay::detail
