// The runtime's shared state: its workers, the injection queue, who is idle, who searches. Private to the library and to
// the few templates that must be inline; user code sees belay::runtime.
#pragma once

#include <belay/runtime/blocking_options.hpp>
#include <belay/runtime/detail/clock.hpp>
#include <belay/runtime/detail/idle_set.hpp>
#include <belay/runtime/detail/overdue_stops.hpp>
#include <belay/runtime/detail/record.hpp>
#include <belay/runtime/detail/spin_lock.hpp>
#include <belay/runtime/detail/stop_latency.hpp>
#include <belay/runtime/detail/worker_list.hpp>
#include <belay/runtime/detail/worker_setup.hpp>
#include <belay/runtime/metrics.hpp>

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace belay {
class blocking_pool;
class driver;
class observer;
class scope;
struct runtime_options;
struct shutdown_report;

namespace detail {

class blocking_core;
class lost_time;
struct overdue_stop;
class simulator;
class watchdog;
class worker;

/// Reference-counted: an abandoned thread or task keeps it alive after the runtime object has gone (promise 10).
class runtime_core : public std::enable_shared_from_this<runtime_core> {
public:
    /// threads: each worker has one. hosted: the only worker is whichever thread of the host drives it (see host_turn.hpp). simulated: all
    /// workers are one thread, see simulator.hpp.
    enum class flavour : std::uint8_t { threads, hosted, simulated };
    explicit runtime_core(const runtime_options& options, flavour how = flavour::threads);
    runtime_core(const runtime_options& options, std::unique_ptr<simulator> by);
    runtime_core(const runtime_core&) = delete;
    runtime_core& operator=(const runtime_core&) = delete;
    ~runtime_core();

    /// Starts the threads. Throws std::system_error, and what a start hook threw; nothing runs then.
    void start();
    shutdown_report shutdown(std::chrono::nanoseconds grace);

    // ---- work from outside -------------------------------------------------------------------------------------
    /// Any thread: queues a record for any worker, or for its own if it is pinned, and wakes one if all that could see it sleep.
    void inject(record& rec) noexcept;
    /// The same for a record that is known to be pinned.
    void deliver(record& rec) noexcept;
    /// Takes the oldest injected record, moving a fair share of the others to the worker's own wake lane.
    record* take_injected(worker& taker) noexcept;
    /// Its depth: a hint, and the sleeper's last look (see worker::park).
    [[nodiscard]] std::size_t injected() const noexcept { return injected_count_.load(std::memory_order_relaxed); }
    /// How many have been taken out of it so far; a reader of both asks for this first: then the sum is not more than there were.
    [[nodiscard]] std::uint64_t taken_from_injected() const noexcept { return taken_count_.load(std::memory_order_acquire); }
    [[nodiscard]] std::size_t injected_seq_cst() const noexcept { return injected_count_.load(std::memory_order_seq_cst); }

    // ---- sleeping and waking -----------------------------------------------------------------------------------
    /// After work was published with a seq_cst edge: wakes one idle worker unless somebody searches already.
    void notify_one() noexcept;
    /// The cheap form for work in the caller's own queues, which the caller will run itself if nobody else does. May miss a
    /// worker that is just going to sleep; the watchdog repairs that within a takeover tick.
    void notify_if_idle() noexcept {
        if (idle_.any_relaxed() && searching_.load(std::memory_order_relaxed) == 0) notify_one();
    }
    /// Wakes this worker if it is idle.
    void rouse(unsigned index) noexcept;

    // ---- block_in_place, see stand_in.cpp ----------------------------------------------------------------------
    std::atomic<unsigned> in_place{0};  // workers that block on purpose
    std::atomic<unsigned> serving{1};  // workers that run tasks: all but stand-ins that rest
    /// The watchdog: one that could go on duty, made if there may be one more; null otherwise.
    worker* resting_stand_in() noexcept;

    detail::stop_latency stop_latency;
    overdue_stops overdue;
    /// The watchdog: one that was stopped, and whose cleanups were over, before that time. False: there is none.
    bool take_overdue_stop(std::int64_t before_ns, const lost_time& lost, overdue_stop& out) noexcept;

    /// hosted: no thread of the host drives it although there is something to do. Any thread; one system call.
    [[nodiscard]] bool host_is_away() const noexcept;

    [[nodiscard]] bool stopping() const noexcept { return stopping_.load(std::memory_order_acquire); }
    [[nodiscard]] runtime_metrics metrics() const;
    /// Task ids are handed out in blocks, so that spawning shares no counter and reports show short numbers. Returns the number
    /// before the first of a block.
    static constexpr std::uint64_t id_block = 256;
    [[nodiscard]] std::uint64_t take_ids() noexcept { return id_blocks_.fetch_add(1, std::memory_order_relaxed) * id_block; }

    const flavour how;
    unsigned cpus = 1;  // that the process may use, as seen by the thread that made the runtime: a pinned worker sees one
    worker_setup setup;
    std::string name;
    std::atomic<int> halted{0};  // 1: workers wait before their next poll, see standstill.hpp. An int, as a futex is
    worker_list workers;  // first those that it was made with, then stand-ins
    unsigned regular_workers = 1;
    std::unique_ptr<belay::driver> io;
    std::shared_ptr<belay::observer> watcher;
    std::unique_ptr<belay::scope> root;
    std::unique_ptr<belay::blocking_pool> blocking;
    std::unique_ptr<detail::watchdog> dog;
    std::unique_ptr<detail::simulator> sim;  // simulated: what drives it
    std::int64_t takeover_tick_ns = 0;
    std::int64_t spin_limit_ns = 0;  // 0: workers never spin
    std::int64_t shutdown_grace_ns = 0;
    /// During a shutdown: when stops enter shields at the latest, so that what they protect can still unwind within the grace.
    std::atomic<std::int64_t> cleanup_limit_ns{std::numeric_limits<std::int64_t>::max()};

    std::atomic<bool> driven_{false};  // hosted: a thread is inside a host_turn

    // Searching workers look for work to steal; about half of the workers at most. A searcher leaves the count (seq_cst) before its
    // last look at the queues, and is counted again if it sees something there, so "somebody searches" may be trusted by notify_one().
    std::atomic<unsigned> searching_{0};
    std::atomic<bool> spinning_{false};  // one spinner at most
    idle_set idle_;

    // Pools that were made by the user register here for metrics and shutdown.
    void add_pool(const std::shared_ptr<blocking_core>& pool);
    [[nodiscard]] std::vector<std::shared_ptr<blocking_core>> user_pools() const;
    /// This process is a copy of the one that made the runtime: its threads are not here.
    [[nodiscard]] bool forked() const noexcept;
    [[nodiscard]] pid_t process() const noexcept { return process_; }
    /// The root scope has no children left.
    void root_drained() noexcept;

private:
    runtime_core(const runtime_options& options, flavour how, std::unique_ptr<simulator> by);
    /// Stops are delivered; waits, or drives, until the root scope is empty. False when the grace is over.
    bool drain(std::int64_t deadline_ns) noexcept;
    /// Ends the threads; those that are still in a task at the deadline are detached and counted.
    std::size_t stop_workers(std::int64_t deadline_ns) noexcept;
    void make_stand_in(std::size_t seen) noexcept;
    void become_stand_in() noexcept;

    alignas(64) spin_lock inject_lock_;
    record* inject_head_ = nullptr;
    record* inject_tail_ = nullptr;
    std::atomic<std::size_t> injected_count_{0};
    std::atomic<std::uint64_t> taken_count_{0};  // written under the lock
    std::atomic<unsigned> injecting_{0};  // threads inside inject(): shutdown waits for them, since the record may be gone
    std::atomic<std::uint64_t> id_blocks_{0};
    std::atomic<bool> stopping_{false};
    mutable std::mutex pools_lock_;
    std::vector<std::weak_ptr<blocking_core>> pools_;
    blocking_options blocking_options_;
    std::mutex stand_ins_lock_;
    std::thread coming_;  // becomes a stand-in; guarded by stand_ins_lock_, as is the next one
    std::int64_t next_stand_in_ns_ = 0;  // when to try again after a failure
    std::atomic<bool> coming_failed_{false};
    std::mutex shutdown_lock_;
    std::condition_variable drained_;
    std::atomic<bool> draining_{false};
    enum class phase : std::uint8_t { running, ending, ended };
    phase phase_ = phase::running;  // under shutdown_lock_
    std::unique_ptr<shutdown_report> last_report_;  // once ended
    const pid_t process_;  // threads do not survive fork()
};

}  // namespace detail
}  // namespace belay
