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
    worker* worker_ = nullptr;  // none: not in a task, or inside another section, or in a simulation
    bool simulated_ = false;
};

}  // namespace detail

/// Runs f() here and now, on this thread, and returns what it returns; meanwhile the duties of this worker are another thread's: its
/// ready tasks, its I/O and its timers. For code that must block but cannot be moved to a pool: a call from deep inside a library,
/// a function that needs this thread's state or a lock that is held. Where it can be moved, spawn_blocking() is better: its threads
/// are bounded by a queue and the task can do something else.
///
/// Returns after f, never earlier: a stop does not interrupt it, so give f this_task::stop_token() if it can use one; stops and
/// deadlines arrive even when all threads block. Not reported as a blocked worker. Cheap when f does not block: another thread is called
/// in when f is seen to run at a takeover tick (runtime_options.takeover_tick; 0.5 ms where takeover is off), and only while f runs does the
/// watchdog look that often. Up to runtime_options.max_stand_ins threads are made for that and rest afterwards; beyond them the other
/// workers do the work at their own pace. What stays behind until f returns: tasks that are pinned to this worker; and, while f is
/// in an uninterruptible sleep (fsync, a slow disk), the completions of I/O that this worker has submitted, because the kernel gives them
/// to nobody else. System calls inside f can fail with EINTR without a signal (epoll_wait, poll, timed socket calls): the kernel
/// interrupts them to post such a completion.
///
/// Inside f nothing can be awaited, and what blocks for tasks (block_on, shutdown, run_until) is refused as on any worker. Nested calls
/// and calls outside of a task just run f. Throws what f throws; std::logic_error in a task of a local_runtime, whose only thread nobody
/// can stand in for: f is not called then.
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
