#include <belay/runtime/detail/shield_group.hpp>

#include <belay/runtime/detail/core.hpp>
#include <belay/runtime/detail/deadline.hpp>
#include <belay/runtime/detail/snapshot.hpp>
#include <belay/runtime/observer.hpp>

#include <algorithm>
#include <chrono>
#include <mutex>

namespace belay::detail {

shield_group::~shield_group() {
    if (outer_ == nullptr) return;
    std::scoped_lock guard(outer_->lock_);  // it lives: this lies inside of its work
    (prev_ != nullptr ? prev_->next_ : outer_->inner_) = next_;
    if (next_ != nullptr) next_->prev_ = prev_;
}

void shield_group::open_shield(record& parent) noexcept {
    open(parent);
    node.shield = this;
    node.deadline_ns = no_deadline;  // the minimum of the deadlines up the tree ends at the nearest shield
}

void shield_group::suspend_parent(record& parent) noexcept {
    suspend_shielded(parent);
    std::int64_t limit_ns = no_deadline;
    if (shield_group* around = parent.node().shield) {
        // In one step, so that the outer grace, if it begins now, finds us in the list or is found here.
        std::scoped_lock guard(around->lock_);
        outer_ = around;
        next_ = around->inner_;
        if (next_ != nullptr) next_->prev_ = this;
        around->inner_ = this;
        if (around->grace_runs_) limit_ns = around->expiry_ns_;
    }
    // A stop that came before the publication did not reach the shield; one that comes later does.
    if (when_ == grace_starts::at_once || limit_ns != no_deadline || parent.stop_asked()) start_grace(limit_ns);
}

/// The parent is claimed, so it and all of this are there.
void shield_group::stop_from_above(stop_walk&) noexcept { start_grace(no_deadline); }

/// From now on the work has its grace to end by itself, and no longer than until the limit, which may come later than the grace
/// itself has begun: with the grace of a shield around this one, or with the runtime's shutdown.
void shield_group::start_grace(std::int64_t limit_ns) noexcept {
    runtime_core& core = owner()->core();
    std::scoped_lock guard(lock_);
    if (over_) return;
    if (!grace_runs_) began_ns_ = now_ns();
    std::int64_t own_ns = grace_runs_ ? expiry_ns_ : saturating_add(began_ns_, grace_ns_);
    // relaxed: written before the root scope is marked, and a shield that learns of a stop by shutdown has seen the mark.
    std::int64_t expiry_ns = std::min({own_ns, limit_ns, core.cleanup_limit_ns.load(std::memory_order_relaxed)});
    node.parent->expect_cleanup(expiry_ns);
    if (std::exchange(grace_runs_, true) && expiry_ns == expiry_ns_) return;
    expiry_ns_ = expiry_ns;
    arm(core);
    for (shield_group* inner = inner_; inner != nullptr; inner = inner->next_) inner->start_grace(expiry_ns);
}

/// Under lock_, and not over_: the branch's unit of pending_ is still there, see branch_done().
void shield_group::arm(runtime_core& core) noexcept {
    if (armed_) {
        if (!disarm_timer(timer_)) return;  // it fires right now: no sooner than that
    } else {
        armed_ = true;
        pending_.fetch_add(1, std::memory_order_relaxed);  // given up by fire(), or with the branch's
    }
    arm_timer_anywhere(core, timer_, expiry_ns_);
    // A shutdown stores its limit and then cuts what is in the wheels. If it had been at that wheel before us, its lock has made the
    // limit visible.
    std::int64_t limit_ns = core.cleanup_limit_ns.load(std::memory_order_relaxed);
    if (limit_ns >= expiry_ns_ || !disarm_timer(timer_)) return;
    expiry_ns_ = limit_ns;
    arm_timer_anywhere(core, timer_, expiry_ns_);
}

/// Unless the work has ended while the timer went off, or a shutdown has cut the grace short: that has a report of its own. A grace that
/// ends before the shutdown's limit is over by itself. The owner does not go on before the timer's unit is given up.
void shield_group::report_overrun() noexcept {
    const runtime_core& core = owner()->core();
    std::int64_t had_ns = 0;
    {
        std::scoped_lock guard(lock_);
        // relaxed: a shutdown that stores its limit only now has cut nothing yet; one that has moved this timer was in its wheel before.
        if (over_ || expiry_ns_ >= core.cleanup_limit_ns.load(std::memory_order_relaxed)) return;
        had_ns = std::max<std::int64_t>(expiry_ns_ - began_ns_, 0);
    }
    task_snapshot task;
    snapshot_record(*owner(), task);
    core.watcher->cleanup_overran(task, std::chrono::nanoseconds{grace_ns_}, std::chrono::nanoseconds{had_ns});
}

void shield_group::grace_timer::fire() noexcept {
    shield_.report_overrun();
    shield_.stop_children(stop_reason::cleanup_overrun);
    if (record* parent = shield_.leave(1)) schedule(*parent);
}

record* shield_group::branch_done(record&, std::size_t, outcome how, const std::exception_ptr*) noexcept {
    branch_stopped_ = how == outcome::stopped;
    std::size_t units = 1;
    {
        std::scoped_lock guard(lock_);
        over_ = true;  // no timer from here on
        // Disarmed, its unit is ours too; if it fires right now, whoever is second finishes.
        if (armed_ && disarm_timer(timer_)) ++units;
    }
    return leave(units);
}

/// Gives up units of pending_. Returns the parent if they were the last; otherwise this may be gone.
record* shield_group::leave(std::size_t units) noexcept {
    // acq_rel: the last one sees how the branch ended.
    if (pending_.fetch_sub(units, std::memory_order_acq_rel) != units) return nullptr;
    bool pass_on = then_ == stop_is::passed_on && branch_stopped_ && enclosing_stopped();
    return finish(pass_on ? outcome::stopped : outcome::value);
}

}  // namespace belay::detail
