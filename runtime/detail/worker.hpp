// One worker: a thread with its queues, its timers and its driver port.
#pragma once

#include <belay/runtime/detail/core.hpp>
#include <belay/runtime/detail/guard_hooks.hpp>
#include <belay/runtime/detail/pinned_queue.hpp>
#include <belay/runtime/detail/timer_entry.hpp>
#include <belay/runtime/detail/work_queue.hpp>
#include <belay/runtime/driver.hpp>
#include <belay/runtime/observer.hpp>

#include <array>
#include <atomic>
#include <coroutine>
#include <cstdint>
#include <memory>
#include <span>
#include <thread>

namespace belay::detail {

struct held_guards;

/// Written by the worker alone (relaxed load and store), read by scrapes.
struct alignas(64) worker_counters {
    using counter = std::atomic<std::uint64_t>;
    counter polls{0}, spawned{0}, completed{0}, failed{0}, stopped{0}, steals{0}, parks{0}, wakeups{0}, budget_yields{0};
    counter timers_fired{0}, takeovers{0}, busy_ns{0};
    static void bump(counter& c, std::uint64_t n = 1) noexcept {
        c.store(c.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
    }
};

class worker {
public:
    worker(runtime_core& core, unsigned index);
    worker(const worker&) = delete;
    worker& operator=(const worker&) = delete;
    ~worker();

    static constexpr int budget_per_poll = 128;
    static constexpr int lifo_polls_in_a_row = 3;
    static constexpr unsigned turn_interval = 61;  // polls between two looks at the driver and the timers

    [[nodiscard]] runtime_core& core() const noexcept { return core_; }
    [[nodiscard]] unsigned index() const noexcept { return index_; }

    // ---- owner: making work ready ------------------------------------------------------------------------------
    /// A wake-up by the running task: the next to run here, ahead of the queues, at most three times in a row.
    void wake(record& rec) noexcept;
    /// Wake lane: oldest first.
    void push_fair(record& rec) noexcept;
    /// Fork lane: newest first for the owner, oldest first for thieves.
    void push_fork(record& rec) noexcept;
    /// Pinned: here or to its own worker.
    void push_pinned(record& rec) noexcept;
    [[nodiscard]] bool may_run(const record& rec) const noexcept { return !rec.pinned() || rec.home == index_ + 1U; }

    // ---- owner: running ----------------------------------------------------------------------------------------
    /// The thread's main function: binds the port and runs until the runtime stops.
    void run() noexcept;
    /// Makes `next` the current task without a trip through a queue; a no-op coroutine if it must go through one.
    std::coroutine_handle<> transfer(record& next) noexcept;
    /// The same for the current task, which waits for `next`: what it holds is not what `next` holds.
    std::coroutine_handle<> transfer_from_current(record& next) noexcept;
    /// `rec` has ended, see record::on_done(). What it leaves locked is noted as its own: another task may run in the same poll.
    record* end(record& rec, outcome how) noexcept;
    /// After a poll, or what stands for one: tells of what it has left behind. `last` has suspended; null when all have ended. The thread
    /// is in no task any more: a report may lock and call what it likes.
    void look_at_guards(record* last) noexcept;
    void set_current(record* rec) noexcept { current_.store(rec, std::memory_order_relaxed); }
    [[nodiscard]] record* current() const noexcept { return current_.load(std::memory_order_relaxed); }
    bool spend_budget() noexcept { return --budget_ >= 0; }
    /// The current task has to yield for that.
    void note_spent() noexcept;
    /// Cheap, and good in its high bits only.
    std::uint32_t random() noexcept { return rng_ = rng_ * 1664525U + 1013904223U; }
    [[nodiscard]] std::uint64_t next_id() noexcept {
        if (ids_ % runtime_core::id_block == 0) ids_ = core_.take_ids();
        return ++ids_;
    }
    [[nodiscard]] driver_port& port() const noexcept { return *port_; }

    // ---- block_in_place, see stand_in.cpp ----------------------------------------------------------------------
    /// Owner; the first also for the watchdog.
    [[nodiscard]] bool in_place() const noexcept;
    void begin_in_place() noexcept;
    void end_in_place() noexcept;
    /// The watchdog's: somebody is to run tasks while this one blocks.
    void send_stand_in() noexcept;
    [[nodiscard]] bool is_stand_in() const noexcept { return index_ >= core_.regular_workers; }
    [[nodiscard]] bool on_duty() const noexcept { return on_duty_.load(std::memory_order_relaxed); }
    [[nodiscard]] bool rests() const noexcept;
    void relieve() noexcept;

    // ---- any thread --------------------------------------------------------------------------------------------
    [[nodiscard]] record* steal_for(worker& thief, bool last_pass) noexcept;
    [[nodiscard]] std::size_t queued() const noexcept {
        return fork_.size() + wake_.size() + (lifo_.load(std::memory_order_relaxed) != nullptr ? 1U : 0U);
    }
    /// With those that nobody else may run.
    [[nodiscard]] std::size_t queued_with_pinned() const noexcept { return queued() + pinned.size(); }
    void arm(timer_entry& entry, std::int64_t deadline_ns) noexcept;
    bool disarm(timer_entry& entry) noexcept;
    /// The same for callers that hold timer_lock() because they guard more with it, and that have set entry.home before anybody
    /// could look at it.
    void arm_locked(timer_entry& entry, std::int64_t deadline_ns) noexcept;
    bool disarm_locked(timer_entry& entry) noexcept;
    /// Fires what is due. Returns the number fired.
    unsigned fire_timers(std::int64_t now) noexcept;
    [[nodiscard]] std::size_t timers() const noexcept;
    /// At a shutdown, any thread: no grace of a shield ends later than this.
    void cut_graces(std::int64_t limit_ns) noexcept;
    spin_lock& timer_lock() noexcept { return timer_lock_; }

    // ---- the watchdog's view -----------------------------------------------------------------------------------
    /// Odd while a task is being polled. Moves twice per poll.
    [[nodiscard]] std::uint64_t epoch() const noexcept { return epoch_.load(std::memory_order_acquire); }
    [[nodiscard]] std::int64_t next_timer_ns() const noexcept { return next_timer_ns_.load(std::memory_order_relaxed); }
    [[nodiscard]] record* take_lifo() noexcept { return lifo_.exchange(nullptr, std::memory_order_acq_rel); }
    [[nodiscard]] const work_queue<record>& fork_lane() const noexcept { return fork_; }
    [[nodiscard]] const work_queue<record>& wake_lane() const noexcept { return wake_; }
    /// A timer that was due then has not fired. May say no although there is one, if very many are armed.
    [[nodiscard]] bool has_due_timer(std::int64_t time_ns) const noexcept;
    /// While the owner is stuck: its staged I/O, completions and due timers become ready work of the neighbours.
    bool take_over(std::int64_t now) noexcept;
    /// The same for what waits in its queues, when no neighbour is idle and steals: busy ones look at the injection queue.
    bool hand_over() noexcept;
    /// While the owner is in the poll `epoch`: who waits in its queues, some of the next ones first. Takes nobody out. Those that only
    /// this worker may run are not seen. Returns their number.
    std::size_t look_behind(std::uint64_t epoch, std::span<task_snapshot> out) const noexcept;

    pinned_queue pinned;
    worker_counters counters;
    std::thread thread;
    std::atomic<int> tid{0};
    std::atomic<std::uint64_t> pthread{0};
    std::atomic<std::uint64_t> last_spender{0};  // the id of the task that was the last to use its budget up
    std::atomic<std::uint64_t> host_turns{0};  // hosted: begun and ended ones
    const void* stack_top = nullptr;  // above the frames of whatever task it runs; read by its own thread
    held_guards* guards = nullptr;  // its own thread's, see set_this_worker(): no look-up in a poll
    const std::uint64_t first_poll;  // epochs of different workers start far from each other
    /// Owner: a task that it runs has called something that blocks. Reported when the task is back.
    void note_call(const guarded_call& call) noexcept;
    std::atomic<bool> ended{false};
    std::atomic<bool> abandoned{false};  // the runtime gave up on this thread: it parks when it comes back

private:
    friend class watchdog;
    friend class host_turn;
    friend class simulator;
    record* next_task() noexcept;
    record* next_local() noexcept;
    record* search() noexcept;
    /// Returns the task that the poll has suspended; null when it has ended.
    record* poll(record* rec, int budget = budget_per_poll) noexcept;
    std::uint64_t begin_poll(record* rec) noexcept;
    std::uint64_t stand_still(std::uint64_t epoch) noexcept;
    void resume_chain(record* rec) noexcept;
    record* unwind(record& rec) noexcept;
    void turn() noexcept;
    bool spin() noexcept;
    void park() noexcept;
    void serve() noexcept;
    void serve_as_stand_in() noexcept;
    void rest() noexcept;
    void give_away() noexcept;
    bool leave_search(bool found) noexcept;
    [[nodiscard]] bool queued_anywhere() const noexcept;
    void report_guards(record* rec) noexcept;
    void report_held(const void* holder) noexcept;
    void keep_for_current() noexcept;
    record* end_holding(record& rec, outcome how) noexcept;
    void push(work_queue<record>& lane, record& rec) noexcept;

    struct noted_call {
        guarded_call call;
        task_snapshot task;
    };

    runtime_core& core_;
    const unsigned index_;
    unsigned tick_ = 0;
    unsigned turn_tick_ = 0;
    unsigned unsampled_ = 0;  // polls since the last one whose time was taken
    int budget_ = 0;
    int lifo_streak_ = 0;
    bool searching_ = false;
    unsigned last_victim_ = 0;
    std::uint64_t ids_ = 0;
    std::uint32_t rng_;
    std::int64_t spin_ns_ = 0;

    alignas(64) std::atomic<std::uint64_t> epoch_{0};
    std::atomic<record*> current_{nullptr};
    alignas(64) std::atomic<record*> lifo_{nullptr};
    work_queue<record> fork_;
    work_queue<record> wake_;
    alignas(64) mutable spin_lock timer_lock_;
    timer_wheel timers_;
    std::atomic<std::int64_t> next_timer_ns_{timer_wheel::never_ns};
    std::unique_ptr<driver_port> port_;
    std::atomic<worker*> stand_in_{nullptr};
    std::array<noted_call, 8> calls_;  // the first ones of a poll; held_guards::calls counts all
    std::array<task_snapshot, 4> ended_holding_;  // tasks that have ended in this poll; held_guard::holder says which are of use
    std::atomic<bool> on_duty_;  // always, unless it is a stand-in
    std::atomic<bool> resting_;  // a stand-in begins like that
};

/// The worker that this thread is, or null. Not inlined: the address of a thread-local must not survive a suspension.
worker* this_worker() noexcept;
/// Makes this thread a worker, or none. Returns what it was.
worker* set_this_worker(worker* now) noexcept;

}  // namespace belay::detail
