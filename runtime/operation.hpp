// The operation protocol: how a task suspends on something that completes later, and how a stop reaches it.
//
//   class my_op : public belay::operation, public belay::detail::native_awaitable {
//       bool await_ready();                       // fast path: nothing published, nothing to undo
//       template <belay::task_promise P> bool await_suspend(std::coroutine_handle<P> h) {
//           return !suspend_on(*h.promise().rec) || start();   // start() registers with whoever will complete it,
                                                             // and returns false only after complete_inline()
//       }
//       T await_resume();
//       void request_stop(belay::detail::stop_walk&) noexcept override;   // claim it back, then complete(stopped)
//   };
//
// An operation ends exactly once, through complete(). It ends as value if the thing happened and as stopped only if
// it did not happen. See detail/record.hpp for the states of the slot.
#pragma once

#include <belay/runtime/detail/lifetime.hpp>
#include <belay/runtime/detail/record.hpp>

#include <concepts>
#include <coroutine>

namespace belay {
namespace detail {

/// Marks the types that a task can `co_await` directly; everything else is awaited through foreign.hpp.
struct native_awaitable {};

template <class A>
concept native = std::derived_from<std::remove_cvref_t<A>, native_awaitable>;

}  // namespace detail

/// The promise of a belay task. Operations accept no other coroutine: they need its task record.
template <class P>
concept task_promise = std::derived_from<P, detail::promise_base>;

namespace detail {

class wait_sources;

class operation {
public:
    operation() = default;
    /// Only before it is awaited: nothing refers to it yet.
    operation(operation&&) noexcept {}
    operation& operator=(operation&&) = delete;

    /// Asks the operation to end as stopped. Called by the one stopper that claimed it, from any thread, possibly
    /// before start() has run. Never blocks, never runs user code; may call complete().
    virtual void request_stop(stop_walk& walk) noexcept = 0;
    /// A word for dumps: "sleep", "channel.recv", "tcp.read". Static storage.
    [[nodiscard]] virtual const char* what() const noexcept = 0;
    /// What could end it, for the search for deadlocks: something outside the tasks, unless an operation knows better. Called by
    /// the watchdog while no task of the runtime runs; other threads do. May throw std::bad_alloc.
    virtual void waits_for(wait_sources& out);

    [[nodiscard]] record* owner() const noexcept { return rec_; }

protected:
    ~operation() = default;

    /// Publishes this operation in the record's slot. False when the task is asked to stop already: the record has been
    /// queued to unwind, and the awaiter must return true from await_suspend without touching itself again.
    bool suspend_on(record& rec) noexcept {
        rec_ = &rec;
        rec.slot.store(reinterpret_cast<std::uintptr_t>(this), std::memory_order_seq_cst);  // pairs with record::stop_asked()
        if (!rec.stop_asked()) [[likely]]
            return true;
        return !withdraw_stopped(rec);
    }

    /// As suspend_on(), for a shield: it begins even in a scope that is stopped already.
    void suspend_shielded(record& rec) noexcept {
        rec_ = &rec;
        rec.slot.store(reinterpret_cast<std::uintptr_t>(this), std::memory_order_seq_cst);  // pairs with record::stop_asked()
    }

    /// start() found the result at hand after publishing. True: go on without suspending (return false from
    /// await_suspend). False: a stopper is inside request_stop() and will queue the record; stay suspended.
    bool complete_inline() noexcept {
        record& rec = *rec_;
        // acq_rel, pairs with stop_walk::claim and ::release: what the stopper did to the operation is visible.
        auto old = rec.slot.exchange(record::completed, std::memory_order_acq_rel);
        if (old & record::claimed_bit) return false;
        rec.slot.store(record::running, std::memory_order_relaxed);  // only the owner writes from `running`
        return true;
    }

    /// Ends the operation. Exactly once, from any thread; the operation may be gone when this returns.
    void complete(outcome how) noexcept {
        if (record* rec = finish(how)) schedule(*rec);
    }
    /// The same for I/O completions, which queue behind what is ready already.
    void complete_fair(outcome how) noexcept {
        if (record* rec = finish(how)) schedule_fair(*rec);
    }
    /// The record to queue, or null when a stopper will do it.
    record* finish(outcome how) noexcept {
        record* rec = rec_;
        if (how == outcome::stopped) rec->set_stopped();
        // acq_rel, pairs with stop_walk::claim: release makes the result visible to whoever queues the record.
        auto old = rec->slot.exchange(record::completed, std::memory_order_acq_rel);
        return (old & record::claimed_bit) ? nullptr : rec;
    }

private:
    /// True when the record was queued as stopped.
    [[gnu::noinline, gnu::cold]] bool withdraw_stopped(record& rec) noexcept {
        auto mine = reinterpret_cast<std::uintptr_t>(this);
        // acq_rel, against stop_walk::add: either we take the operation back, or the stopper has it and asks it to stop; then it
        // has to be started, so that it can end.
        if (!rec.slot.compare_exchange_strong(mine, record::completed, std::memory_order_acq_rel)) return false;
        rec.set_stopped();
        schedule(rec);
        return true;
    }

    friend const record* read_owner(const operation& op) noexcept;
    record* rec_ = nullptr;
};

/// Its owner, for a thread that nothing orders behind suspend_on(): null until then. Read as a debugger would.
const record* read_owner(const operation& op) noexcept;

}  // namespace detail
}  // namespace belay
