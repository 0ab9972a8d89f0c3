// Code that blocks, in the middle of a task and on its thread.
//
//     belay::block_in_place([&] { legacy.save(document); });
#pragma once

#include <belay/runtime/task.hpp>

#include <functional>
#include <type_traits>
#include <utility>

namespace belay {
namespace detail {

class worker;

/// While it lives, the calling worker is expected to block.
class in_place_section {
public:
    in_place_section();
    in_place_section(const in_place_section&) = delete;
    in_place_section& operator=(const in_place_section&) = delete;
    ~in_place_section();

private:
    worker* worker_ = nullptr;  // none: not in a task, or inside another section
};

}  // namespace detail

/// Runs f() here and now, on this thread, and returns what it returns; meanwhile the duties of this worker are another thread's: its
/// ready tasks, its I/O and its timers. For code that must block but cannot be moved to a pool: a call from deep inside a library,
/// a function that needs this thread's state or a lock that is held. Where it can be moved, spawn_blocking() is better: its threads
/// are bounded by a queue and the task can do something else.
///
/// Returns after f, never earlier: a stop does not interrupt it, so give f this_task::stop_token() if it can use one. Not reported
/// as a blocked worker. Cheap when f does not block: another thread is called in when f is seen to run after a takeover
/// tick. Up to runtime_options.max_stand_ins threads are made for that and rest afterwards; beyond them the other workers do the work
/// at their own pace. Tasks that are pinned to this worker wait for f. Inside f nothing can be awaited, and block_on() is refused as on
/// any worker. Nested calls and calls outside of a task just run f. Throws what f throws; std::logic_error in a local_runtime, whose
/// only thread nobody can stand in for: f is not called then.
template <class F>
decltype(auto) block_in_place(F&& f) {
    static_assert(std::is_invocable_v<F>,
                  "belay: block_in_place(f) calls f(), and this callable takes arguments: capture what it needs");
    static_assert(!detail::is_task<std::remove_cvref_t<std::invoke_result_t<F>>>,
                  "belay: block_in_place runs plain functions, and this one returns a belay::task, which would not run there: "
                  "co_await it directly");
    detail::in_place_section section;
    return std::invoke(std::forward<F>(f));
}

}  // namespace belay
