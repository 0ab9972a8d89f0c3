// The seam between the executor and its diagnosis: what the runtime notices, and to whom it says so. `observability`
// implements it; `runtime` only knows this page.
#pragma once

#include <belay/runtime/detail/call_place.hpp>
#include <belay/runtime/detail/lost_cpu.hpp>
#include <belay/runtime/stop.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <source_location>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace belay {

/// One task as a dump sees it. `stack` has the innermost frame first: where each frame awaits (or, for the innermost frame
/// of a running task, awaited last).
struct task_snapshot {
    static constexpr std::size_t max_frames = 32;
    std::uint64_t id = 0;
    std::array<char, 48> name{};                          ///< zero-terminated, cut; empty when it has none
    std::source_location spawned;
    const char* waiting_on = "";                          ///< "running", "ready", "ended", "sleep", "channel.recv", ...
    std::array<std::source_location, max_frames> stack{};
    std::size_t depth = 0;                                ///< frames in `stack`
    bool cut = false;                                     ///< there were more frames
    int worker = -1;                                      ///< the one that runs it right now, where that was looked for
};

/// A worker that has been inside one poll for longer than the threshold.
struct worker_stall {
    std::string_view runtime;
    unsigned worker = 0;
    int tid = 0;                                          ///< kernel thread id of the worker
    std::uint64_t pthread = 0;                            ///< its pthread_t
    std::chrono::nanoseconds elapsed{};                   ///< since the poll was first seen
    std::chrono::nanoseconds lateness{};                  ///< how late the watchdog itself was; not the task's fault
    task_snapshot task;
    std::size_t queued_behind = 0;                        ///< ready tasks in the worker's own queues
    std::array<task_snapshot, 4> behind{};                ///< some of them
    std::size_t behind_count = 0;                         ///< how many of them
    bool ended = false;                                   ///< the poll ended before it could be described in full
};

struct held_lock {
    const void* lock = nullptr;
    std::source_location site;                            ///< no line: only the callers are known
    detail::call_place callers;
};

/// A task took a lock while it held another one.
struct order_step {
    std::uint64_t task = 0;                               ///< 0: no task, but a thread
    std::array<char, 48> name{};                          ///< of the task; zero-terminated, cut; empty when it has none
    held_lock held;
    held_lock taken;
};

/// Tasks that take locks in orders that do not fit together. One step whose two locks are the same: it takes a lock again that it holds.
struct order_inversion {
    task_snapshot task;  ///< who takes the first step; its id is 0 if it is a thread
    std::vector<order_step> steps;  ///< each holds what the one before takes, and the first what the last takes
};

/// A task called a function of the C library that blocked its worker, or made such a system call. Found by belay::guard, or by the
/// dispatch of system calls.
struct blocking_call {
    std::string_view function;
    int fd = -1;  ///< what it waited for, or -1
    std::chrono::nanoseconds elapsed{};
    bool slept = false;  ///< the kernel put the thread to sleep
    detail::call_place callers;
    detail::lost_cpu lost = {};  ///< of a wait for a lock
};

/// A scope that was stopped and has not ended.
struct ignored_stop {
    std::string_view runtime;
    std::string_view scope;
    stop_reason why = stop_reason::none;
    std::chrono::nanoseconds elapsed{};  ///< since it was stopped
    std::span<const task_snapshot> tasks;  ///< some of those that are left
    std::size_t total = 0;  ///< all of them
    std::source_location awaited{};  ///< where the scope, or the timeout that it is of, is awaited
};

/// A task that nothing but a stop can wake any more.
struct stuck_task {
    static constexpr std::size_t max_holders = 4;
    task_snapshot task;
    std::array<std::uint64_t, max_holders> holders{};  ///< the tasks that alone could end its wait, and are stuck themselves
    std::size_t holder_count = 0;  ///< all of them
};

/// Tasks that wait for each other, and for nobody else.
struct deadlock {
    std::string_view runtime;
    std::span<const stuck_task> tasks;  ///< some of them
    std::size_t total = 0;  ///< all of them
    std::size_t behind = 0;  ///< further tasks, whose scopes wait for them
};

/// A pool of threads for blocking functions in which somebody has waited for a thread for too long.
struct saturated_pool {
    std::string_view pool;
    std::size_t threads = 0;  ///< all of them run functions
    std::size_t queued = 0;  ///< functions that wait for a thread or for room in the queue
    std::chrono::nanoseconds waited{};  ///< the oldest of them
    task_snapshot task;  ///< whose function that is; its id is 0 if it is not known
};

/// Where tasks wait that are ready: in one worker's queues, among those that only this worker may run, in the queue of what comes from
/// other threads, or somewhere in the queues of all. Or no tasks, but the timers of a worker.
enum class starved_queue : std::uint8_t { own, pinned, injected, all, timers };

/// Something waits for its turn although its worker goes on running tasks.
struct starvation {
    std::string_view runtime;
    starved_queue queue = starved_queue::own;
    unsigned worker = 0;  ///< not of `injected` and `all`
    std::chrono::nanoseconds waited{};  ///< at least
    std::size_t waiting = 0;  ///< ready tasks in that queue, or armed timers
    std::uint64_t polls = 0;  ///< meanwhile, by that worker or by all
    std::uint64_t budget_yields = 0;  ///< of these: ended because the task had used up its budget
    task_snapshot task{};  ///< was found running most often; its id is 0 if none was
    unsigned seen = 0;  ///< at so many looks
    unsigned spent = 0;  ///< ... and was the last that had used up its budget
    unsigned looks = 0;  ///< of so many
};

/// What a runtime tells its observer. Every function may be called from any thread, the watchdog's included, while workers
/// are stuck: it must not wait for a worker and must not use the application's logger. Nothing may be thrown.
class observer {
public:
    observer() = default;
    observer(const observer&) = delete;
    observer& operator=(const observer&) = delete;
    virtual ~observer() = default;

    /// The calling thread begins to run the runtime's tasks, and has ended to: what watches a thread from inside is set up here.
    virtual void worker_began() noexcept {}
    virtual void worker_ended() noexcept {}
    /// The watchdog saw a poll that has lasted half of `stall_threshold()`: the moment for a first look at the thread's
    /// clocks, so that worker_stalled() can tell computing from sleeping from starving. Once per poll; about 30 us.
    virtual void worker_suspected(unsigned worker, int tid, std::uint64_t pthread) noexcept {
        (void)worker, (void)tid, (void)pthread;
    }
    /// The watchdog saw a worker stuck for `stall_threshold()`; called again at each doubling while it stays stuck.
    virtual void worker_stalled(const worker_stall& stall) noexcept = 0;
    /// A task suspended, or ended, while it held synchronous locks. On the worker, right after that poll.
    virtual void guard_across_suspension(const task_snapshot& task, std::span<const held_lock> locks) noexcept = 0;
    /// On the worker, when the task is back there. `task` is as it stood in the call.
    virtual void blocking_called(const task_snapshot& task, const blocking_call& call) noexcept = 0;
    /// Locks were taken in an order that deadlocks with orders seen before. On any thread of the runtime, when the task has gone back to its
    /// worker, or while it waits for the lock.
    virtual void order_inverted(const order_inversion& found) noexcept = 0;
    /// Tasks that were still alive when they had to be gone: at shutdown after the grace.
    virtual void tasks_leaked(std::string_view runtime, std::string_view where, std::span<const task_snapshot> tasks,
                              std::size_t total) noexcept = 0;
    /// The watchdog saw a scope that has not ended `stop_limit()` after its stop and after the last cleanup in it had its grace. Once.
    virtual void stop_ignored(const ignored_stop& stop) noexcept = 0;
    /// A cleanup (finally, shield) has used up its grace and is stopped. `task` awaits it. `had` is less than the grace if that of a cleanup
    /// around it was over first.
    virtual void cleanup_overran(const task_snapshot& task, std::chrono::nanoseconds grace,
                                 std::chrono::nanoseconds had) noexcept = 0;
    /// The watchdog looked, and found tasks that can never go on. Once for each set of them.
    virtual void deadlocked(const deadlock& found) noexcept = 0;
    /// The watchdog saw it; again only when the queue was empty, or short, in between.
    virtual void pool_saturated(const saturated_pool& pool) noexcept = 0;
    /// The watchdog saw ready tasks, or timers that are due, wait for `starvation_limit()`. Once for what seems to have one cause; again
    /// when nothing has waited for half of the limit for a while in between.
    virtual void starved(const starvation& found) noexcept = 0;
    /// A scope whose `max_tasks` nobody has set has come to so many tasks. `spawned` is the place of one of the latest.
    virtual void fanned_out(std::string_view scope, std::size_t tasks, std::source_location spawned) noexcept = 0;
    /// An exception that nobody will see: from a child of an `isolate` scope, or a further one beside the first, that no join took.
    /// `scope` is empty when it has no name or is not known any more.
    virtual void error_lost(std::string_view scope, std::source_location spawned, std::exception_ptr error) noexcept = 0;
    /// An exception out of `hook`, a field of runtime_options, where nobody waits for it. On that worker.
    virtual void hook_failed(std::string_view hook, unsigned worker, std::exception_ptr error) noexcept = 0;
    /// A task object was destroyed before it ever ran, and with it some tasks that were `given` to it as arguments.
    virtual void never_awaited(std::source_location made, std::span<const std::source_location> given = {}) noexcept = 0;
    /// A task was spawned that is the call of a lambda with captures, which may be gone when it runs.
    virtual void captures_borrowed(std::source_location made, std::source_location spawned) noexcept = 0;

    /// The process will end by abort(): what has been found is to be written, if that does not take long. On any thread.
    virtual void process_aborts() noexcept {}

    /// How long one poll may take before it is reported; zero switches the watchdog's reports off.
    [[nodiscard]] virtual std::chrono::nanoseconds stall_threshold() const noexcept = 0;
    /// How long a stopped scope may take to end before it is reported; zero: for ever.
    [[nodiscard]] virtual std::chrono::nanoseconds stop_limit() const noexcept = 0;
    /// How long a function may wait for a thread of its pool before that is reported; zero: for ever.
    [[nodiscard]] virtual std::chrono::nanoseconds pool_wait_limit() const noexcept = 0;
    /// How long a ready task may wait for a worker that runs others before that is reported; zero: for ever.
    [[nodiscard]] virtual std::chrono::nanoseconds starvation_limit() const noexcept = 0;
    /// How long the runtime must have been idle before its tasks are searched for deadlocks; while it is not, they are after sixty times
    /// as long. Zero: never.
    [[nodiscard]] virtual std::chrono::nanoseconds deadlock_period() const noexcept = 0;
};

/// Makes the observer of a runtime. `policy` is runtime_options::guardrails; `BELAY_GUARDRAILS` in the environment is
/// applied on top of it. Throws std::invalid_argument that names the wrong word. Defined by the `observability` room.
std::shared_ptr<observer> make_observer(std::string_view runtime, std::string_view policy);
/// For what happens outside any runtime (a task destroyed on a foreign thread). Defined by the `observability` room.
observer& process_observer() noexcept;

}  // namespace belay
