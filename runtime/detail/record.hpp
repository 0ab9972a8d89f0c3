// The task record: one logical thread. It is what run queues hold, what thieves steal, what a stop reaches and what
// a dump lists. Its coroutine frames hang below it: `leaf` is the innermost one, the next to be resumed.
#pragma once

#include <belay/runtime/detail/stop_node.hpp>

#include <atomic>
#include <coroutine>
#include <cstdint>
#include <source_location>
#include <string_view>

namespace belay::detail {

class operation;
class record;
class runtime_core;
class stop_walk;

/// How a task ended, or is about to be resumed.
enum class outcome : std::uint8_t { value, error, stopped };

/// The part of every promise that the runtime reads. Kept at offset 0 of the promise and aligned to at most 16, so
/// that the coroutine's address follows from the promise's (checked in task.hpp).
struct promise_base {
    promise_base* parent = nullptr;               // who awaits this frame; null at the root of a record
    record* rec = nullptr;                        // the logical thread; null until started
    std::coroutine_handle<>* owner = nullptr;     // where the handle that owns this frame lives, see disown()
    std::source_location site;                    // where this frame awaits, or was made

    explicit promise_base(std::source_location made) noexcept : site{made} {}
    [[nodiscard]] std::coroutine_handle<promise_base> handle() noexcept {
        return std::coroutine_handle<promise_base>::from_promise(*this);
    }
};

/// The owner of a generator's frame is marked: what holds it is no task's awaiter.
inline std::coroutine_handle<>* owner_of_generator(std::coroutine_handle<>* owner) noexcept {
    return reinterpret_cast<std::coroutine_handle<>*>(reinterpret_cast<std::uintptr_t>(owner) | 1U);
}
inline bool is_generator(const promise_base& frame) noexcept { return (reinterpret_cast<std::uintptr_t>(frame.owner) & 1U) != 0; }
/// The frame is destroyed: whoever holds it must not do it again.
inline void disown(const promise_base& frame) noexcept {
    *reinterpret_cast<std::coroutine_handle<>*>(reinterpret_cast<std::uintptr_t>(frame.owner) & ~std::uintptr_t{1}) = nullptr;
}

class record {
public:
    record(runtime_core& core, stop_node& node, std::source_location spawned) noexcept
        : node_{&node}, core_{&core}, spawn_site_{spawned} {}
    record(const record&) = delete;
    record& operator=(const record&) = delete;

    // ---- the slot: what the task is suspended on -------------------------------------------------------------
    //
    //             suspend_on                 request (stopper)            release (stopper)
    //   running ------------> op -------------------------------> op|1 --------------------> op|2
    //      ^                   |                                    |                           |
    //      | poll              | complete: queue it                 | complete: the stopper     | complete: queue it
    //      +---- completed <---+------------------------------------+ queues it in release  ----+
    //
    // op|1 (claimed) pins the record: whoever completes the operation leaves the resume to the claimer, so an
    // awaiter is never destroyed under a stopper that is inside its request_stop().
    static constexpr std::uintptr_t running = 0;
    static constexpr std::uintptr_t completed = 4;
    static constexpr std::uintptr_t claimed_bit = 1;
    static constexpr std::uintptr_t released_bit = 2;
    std::atomic<std::uintptr_t> slot{running};

    record* next = nullptr;        // link in the injection queue, or in a stop walk while claimed
    promise_base* leaf = nullptr;  // innermost frame; null until the task first runs

    /// Makes the root frame and sets `leaf`. Only for records that are queued before they have a frame. False when that
    /// threw: the record keeps the error and ends with on_done(outcome::error).
    virtual bool begin() noexcept { return true; }
    /// The root frame ended. For `stopped` it has been destroyed already. Returns a record that this worker should
    /// run next without a trip through a queue, or null. The record may be gone when this returns.
    virtual record* on_done(outcome how) noexcept = 0;

    [[nodiscard]] stop_node& node() const noexcept { return *node_; }
    [[nodiscard]] runtime_core& core() const noexcept { return *core_; }
    [[nodiscard]] std::source_location spawn_site() const noexcept { return spawn_site_; }

    // ---- being asked to stop ---------------------------------------------------------------------------------------
    /// The task stops at its next suspension: its scope was stopped, or it was itself. What every suspension asks after it has
    /// published its operation. seq_cst, the two Dekker pairs: a stopper sets stop_node::reason, or own_stop_, and then reads
    /// the slot. At least one of the two sees the other.
    [[nodiscard]] bool stop_asked() const noexcept { return node_->stopped() || own_stop(); }
    /// Asks this task alone, and so all below it. Its scope runs on.
    void set_own_stop() noexcept { own_stop_.store(true, std::memory_order_seq_cst); }
    [[nodiscard]] bool own_stop() const noexcept { return own_stop_.load(std::memory_order_seq_cst); }
    /// Why it is asked, while its node lives. Its own stop is never set after its scope's, so it came first where both are.
    [[nodiscard]] belay::stop_reason asked_why() const noexcept {
        return own_stop() ? belay::stop_reason::requested : node_->reason.load(std::memory_order_acquire);
    }

    /// The next poll unwinds the task instead of resuming it. Written before the record is queued.
    void set_stopped() noexcept { stopped_ = true; }
    [[nodiscard]] bool is_stopped() const noexcept { return stopped_; }
    void clear_stopped() noexcept { stopped_ = false; }
    /// Why a child that has ended was stopped; its node may be gone by then.
    void set_stop_reason(stop_reason why) noexcept { stop_reason_ = why; }
    [[nodiscard]] belay::stop_reason why_stopped() const noexcept { return stop_reason_; }
    /// Its node's token_registry knows this record. Written and read by the task itself.
    void set_has_token() noexcept { has_token_ = true; }
    [[nodiscard]] bool has_token() const noexcept { return has_token_; }

    std::uint64_t id = 0;  // unique in the runtime; branches carry that of the task they belong to
    /// Static storage, or lives as long as the record; null when it has none. relaxed: read from other threads, and what it
    /// points at was never written.
    std::atomic<const char*> name{nullptr};

    /// The worker that alone may run it, plus one. Written before the record is queued for the first time.
    static constexpr std::uint16_t any_worker = 0;
    std::uint16_t home = any_worker;
    [[nodiscard]] bool pinned() const noexcept { return home != any_worker; }
    std::uint16_t seen = 0;  // a simulation's number of it; here because of the padding: a record's size is promised

private:
    bool stopped_ = false;  // here, in the padding: a record's size is promised
    stop_reason stop_reason_ = stop_reason::none;  // likewise
    std::atomic<bool> own_stop_{false};  // likewise
    bool has_token_ = false;  // likewise

protected:
    ~record() = default;
    stop_node* node_;

private:
    runtime_core* core_;
    std::source_location spawn_site_;
};

/// Empty when it has none.
inline std::string_view name_of(const record& rec) noexcept {
    const char* name = rec.name.load(std::memory_order_relaxed);
    return name != nullptr ? std::string_view{name} : std::string_view{};
}
/// A branch, or a scope's body, goes by the id and the name of the task that it belongs to, and runs where that may run.
inline void belongs_to(record& branch, const record& parent) noexcept {
    branch.id = parent.id;
    branch.home = parent.home;
    branch.name.store(parent.name.load(std::memory_order_relaxed), std::memory_order_relaxed);
}

/// Puts a record whose operation completed into a run queue: its worker's if it is pinned, the current one's when this thread
/// is a worker of the record's runtime, else the injection queue. Any thread; never blocks, never throws.
void schedule(record& rec) noexcept;
/// The same for work that must not jump the queue: I/O completions and yields.
void schedule_fair(record& rec) noexcept;
/// Spends one unit of the current poll's budget. False when it is used up: the caller must yield.
bool spend_budget() noexcept;
/// For the await_ready() of what may be there at once, before it is tried. Spends one unit of the budget. rest: it is used up, so the
/// task yields afterwards. stop: moreover the task is to stop: nothing is tried, and suspend_on() stops it. Without that a loop of
/// operations that are always ready, a free lock or an event that is set, would never meet a stop.
enum class pace : std::uint8_t { go, rest, stop };
pace next_pace() noexcept;

}  // namespace belay::detail
