#include <belay/runtime/scope.hpp>

#include <belay/runtime/detail/token_registry.hpp>
#include <belay/runtime/detail/wait_sources.hpp>
#include <belay/runtime/detail/watchdog.hpp>
#include <belay/runtime/detail/worker.hpp>
#include <belay/runtime/observer.hpp>

#include <mutex>
#include <stdexcept>
#include <string>

namespace belay {

using detail::child_record;
using detail::outcome;
using detail::record;
using detail::scope_room;
using detail::worker;
using detail::worker_counters;

namespace {
constexpr std::size_t fan_out_limit = 10'000;
}

scope::scope(detail::runtime_core& core, const scope_options& o) : options_{o}, core_{core} {
    if (o.max_tasks == 0 || o.max_tasks > 4'000'000'000ULL)
        throw std::invalid_argument("belay: scope_options.max_tasks must be between 1 and 4,000,000,000");
}

scope::~scope() {
    // Whoever stopped it has returned, or its walk has let go of the parent: what it wrote is visible.
    if (listed) [[unlikely]]
        core_.overdue.remove(*this);
    delete[] shards_.load(std::memory_order_relaxed);
}

// ---- registry --------------------------------------------------------------------------------------------------

// Shard 0 is inside the scope and serves scopes that one worker uses; the others are made when a second one spawns.
scope::shard& scope::shard_at(std::uint16_t index) noexcept {
    // acquire, pairs with the release below: the shards are constructed.
    return index == 0 ? first_ : shards_.load(std::memory_order_acquire)[index - 1];
}

std::uint16_t scope::home_of(worker_index worker) const {
    std::size_t count = core_.regular_workers;
    if (worker.value >= count)
        throw std::out_of_range("belay: spawn_on(" + std::to_string(worker.value) + ", ...): this runtime has " +
                                std::to_string(count) + " workers, numbered from 0: see runtime_options.workers");
    return static_cast<std::uint16_t>(worker.value + 1);
}

void scope::adopt(child_record& child) noexcept {
    worker* w = detail::this_worker();
    bool local = w != nullptr && &w->core() == &core_;
    auto index = static_cast<std::uint16_t>(local ? w->index() % core_.regular_workers : 0);  // a stand-in shares one
    if (index != 0 && shards_.load(std::memory_order_acquire) == nullptr) {
        shard* made = new (std::nothrow) shard[core_.regular_workers];
        shard* expected = nullptr;
        // Publishes our shards, or makes those of the winner visible. seq_cst, pairs with add_children(): a stop that finds no
        // shards is one that the children in them see for themselves.
        if (made == nullptr) {
            index = 0;  // memory is exhausted: share the first shard
        } else if (!shards_.compare_exchange_strong(expected, made, std::memory_order_seq_cst)) {
            delete[] made;
        }
    }
    child.id = local ? w->next_id() : core_.take_ids() + 1;
    child.shard_ = index;
    shard& home = shard_at(index);
    {
        std::scoped_lock guard(home.lock);
        child.next_sibling_ = home.head;
        if (home.head != nullptr) home.head->prev_ = &child;
        home.head = &child;
    }
    if (local) {
        worker_counters::bump(w->counters.spawned);
        w->push_fork(child);
    } else {
        core_.inject(child);
    }
}

void scope::add_children(detail::stop_walk& walk) noexcept {
    // relaxed: only measured. A scope whose last child ends before this is not counted: its stop met nothing.
    stopped_at_ns_.store(detail::now_ns(), std::memory_order_relaxed);
    if (!is_root_ && core_.dog->watches_stops()) {  // the shutdown looks after the root
        core_.overdue.add(*this);
        core_.dog->expect_stop();
    }
    auto walk_shard = [&](shard& s) {
        std::scoped_lock guard(s.lock);  // a child cannot unlink itself, hence not end, while it is looked at
        for (child_record* c = s.head; c != nullptr; c = c->next_sibling_) walk.add(*c);
    };
    if (body_ != nullptr) walk.add(*body_);
    walk_shard(first_);
    // A child that is linked later sees the stopped node at its first suspension. seq_cst, after the node was marked: where
    // there are no shards yet, no lock of theirs orders the two.
    if (shard* more = shards_.load(std::memory_order_seq_cst))
        for (std::size_t i = 0; i + 1 < core_.regular_workers; ++i) walk_shard(more[i]);
}

std::size_t scope::list_children(detail::wait_sources& out, bool below) {
    std::size_t count = 0;
    auto list_shard = [&](shard& s) {
        std::scoped_lock guard(s.lock);
        for (child_record* c = s.head; c != nullptr; c = c->next_sibling_, ++count)
            below ? out.below(*c, detail::wait_sources::kind::child) : out.end_of(*c);
    };
    list_shard(first_);
    if (shard* more = shards_.load(std::memory_order_acquire))
        for (std::size_t i = 0; i + 1 < core_.regular_workers; ++i) list_shard(more[i]);
    return count;
}

void scope::waits_for(detail::wait_sources& out) {
    out.need_all();
    // relaxed: no task runs, and its own thread has left it like that.
    if ((pending_.load(std::memory_order_relaxed) & body_unit) != 0) out.below(*body_, detail::wait_sources::kind::body);
    list_children(out, true);
}

// ---- room ------------------------------------------------------------------------------------------------------

// All of "how many", "is it full" and "does somebody wait" is one word, so each decision is one atomic step: a child that
// ends cannot miss a waiter that found the scope full, and no reservation overshoots the limit even for a moment.
scope::reservation scope::reserve() noexcept {
    if (is_root_ && node.stopped()) return reservation::closed;  // the runtime shuts down
    auto seen = pending_.load(std::memory_order_relaxed);
    for (;;) {
        if (seen == 0 || (seen & closed_bit) != 0) return reservation::closed;
        if ((seen & waiters_bit) != 0 || children_of(seen) >= options_.max_tasks) return reservation::full;
        // relaxed: the child is published by its shard and its queue.
        if (!pending_.compare_exchange_weak(seen, seen + 1, std::memory_order_relaxed)) continue;
        if (children_of(seen) + 1 == fan_out_limit && options_.max_tasks == scope_options::any_number) [[unlikely]]
            report_fan_out();
        return reservation::granted;
    }
}

/// With the place of the newest child that this worker, or whoever uses the first shard, has spawned.
void scope::report_fan_out() noexcept {
    if (told_of_fan_out_.exchange(true, std::memory_order_relaxed)) return;
    std::source_location spawned;
    worker* w = detail::this_worker();
    auto index = static_cast<std::uint16_t>(w != nullptr && &w->core() == &core_ ? w->index() % core_.regular_workers : 0);
    for (std::uint16_t i : {index, std::uint16_t{0}}) {
        if (i != 0 && shards_.load(std::memory_order_acquire) == nullptr) continue;
        std::scoped_lock guard(shard_at(i).lock);
        if (shard_at(i).head == nullptr) continue;
        spawned = shard_at(i).head->spawn_site();
        break;
    }
    core_.watcher->fanned_out(options_.name, fan_out_limit, spawned);
}

/// One step with reserve(): a thread that spawns while the runtime shuts down is either waited for or refused.
bool scope::close_if_empty() noexcept {
    auto seen = pending_.load(std::memory_order_seq_cst);
    while (children_of(seen) == 0) {
        if (pending_.compare_exchange_weak(seen, seen | closed_bit, std::memory_order_acq_rel)) return true;
    }
    return false;
}

/// The child that found no memory for its record hands its room on, like one that has ended.
void scope::give_back() noexcept {
    if (record* parent = leave(child_unit)) detail::schedule(*parent);
}

void scope::reserve_or_throw() {
    switch (reserve()) {
    case reservation::granted: return;
    case reservation::full: throw scope_full{};
    case reservation::closed: throw scope_closed{};
    }
}

// ---- ends ------------------------------------------------------------------------------------------------------

record* scope::child_ended(child_record& child, outcome how, const std::exception_ptr* error) noexcept {
    if (worker* w = detail::this_worker(); w != nullptr) {
        auto& c = w->counters;
        worker_counters::bump(how == outcome::value ? c.completed : how == outcome::error ? c.failed : c.stopped);
    }
    if (how == outcome::stopped) {
        child.set_stop_reason(child.asked_why());
        // One that was stopped by itself says nothing of the scope.
        if (!child.own_stop()) any_stopped_.store(true, std::memory_order_relaxed);  // ordered by pending_
    }
    if (error != nullptr) failed(*error, child, &child);
    if (child.has_token()) [[unlikely]] {
        auto& tokens = detail::token_registry::of(node);
        // It may have seen the mark of its node, and ended by it, before the stopper came to the tokens.
        if (how == outcome::stopped) tokens.stop(child);
        tokens.forget(child);
    }
    {
        std::scoped_lock guard(shard_at(child.shard_).lock);
        if (child.next_sibling_ != nullptr) child.next_sibling_->prev_ = child.prev_;
        (child.prev_ != nullptr ? child.prev_->next_sibling_ : shard_at(child.shard_).head) = child.next_sibling_;
    }
    if (child.unseen_error_) [[unlikely]]
        child.keep_scope_name(options_.name);
    child.how_ = how;
    detail::join_operation* joiner = nullptr;
    {
        std::scoped_lock guard(child.join_lock_);
        joiner = child.joiner_;
        if (joiner != nullptr && !joiner->claim()) joiner = nullptr;
        // release, pairs with ended(): the result is visible.
        child.ended_.store(true, std::memory_order_release);
    }
    if (joiner != nullptr) joiner->grant();
    child.release();
    return leave(child_unit);
}

/// Gives up one unit of pending_: a child's, the body's or the timer's. A child hands its room to the first of those who
/// wait for it, so nobody overtakes them. Returns the parent if this was the last unit; otherwise the scope may be gone when
/// the unit is, so nothing of it is touched after that.
record* scope::leave(std::uint64_t unit) noexcept {
    bool root = is_root_;
    detail::runtime_core& core = core_;
    auto seen = pending_.load(std::memory_order_acquire);
    std::uint64_t left = 0;
    for (;;) {
        if (unit == child_unit && (seen & waiters_bit) != 0) {
            scope_room* next = nullptr;
            {
                std::scoped_lock guard(lock_);
                next = waiters_head_;
                if (next != nullptr) unlink(*next);
            }
            if (next != nullptr) {
                next->complete(outcome::value);
                return nullptr;
            }
            seen = pending_.load(std::memory_order_acquire);
            continue;
        }
        left = seen - unit;
        if (left == timer_unit) {
            // Only an armed timer would be left. If it can be disarmed its unit is ours too; if not, fire() is about to give it
            // up, and whoever is second finishes.
            if (detail::disarm_timer(timer_)) unit += timer_unit;
            left = pending_.fetch_sub(unit, std::memory_order_acq_rel) - unit;
            break;
        }
        // The last one sees the errors and results of all the others. seq_cst for the root: pairs with shutdown(), which asks for
        // root_drained() and then looks at the count.
        if (pending_.compare_exchange_weak(seen, left, std::memory_order_seq_cst, std::memory_order_acquire)) break;
    }
    if (root) {
        if (left == body_unit) core.root_drained();
        return nullptr;
    }
    if (left != 0) return nullptr;
    if (auto since_ns = stopped_at_ns_.load(std::memory_order_relaxed); since_ns != 0) [[unlikely]]
        core.stop_latency.add(options_.name, detail::now_ns() - since_ns);
    bool pass_on = !first_error_ && errors_.empty() && any_stopped_.load(std::memory_order_relaxed) && enclosing_stopped();
    return finish(pass_on ? outcome::stopped : outcome::value);
}

/// Under lock_: takes a waiter out of the queue.
void scope::unlink(scope_room& room) noexcept {
    (room.prev_ != nullptr ? room.prev_->next_ : waiters_head_) = room.next_;
    (room.next_ != nullptr ? room.next_->prev_ : waiters_tail_) = room.prev_;
    room.linked_ = false;
    if (waiters_head_ == nullptr) pending_.fetch_and(~waiters_bit, std::memory_order_relaxed);
}

void scope::failed(const std::exception_ptr& error, const record& from, child_record* child) noexcept {
    if (from.stop_asked() && detail::is_task_stopped(error)) {  // a consequence of the stop, not a cause of anything
        if (!from.own_stop()) any_stopped_.store(true, std::memory_order_relaxed);  // ordered by pending_
        return;
    }
    if (child != nullptr && options_.on_error == on_error::isolate) return keep_unseen(*child, error);
    bool first = false;
    {
        std::scoped_lock guard(lock_);
        first = !first_error_;
        if (first) first_error_ = error;
        if (options_.on_error == on_error::collect) {
            try {
                errors_.push_back(error);
            } catch (...) {
                // out of memory: the first one is kept in any case
            }
            return;
        }
    }
    if (first) {
        stop_children(stop_reason::sibling_failed);
    } else if (child != nullptr) {
        keep_unseen(*child, error);
    } else {
        detail::report_lost_error(core_, options_.name, from.spawn_site(), error);
    }
}

/// Nobody gets this error from the scope. If there still is a handle, a join may take it, and if none does, the last reference to the
/// record reports it.
void scope::keep_unseen(child_record& child, const std::exception_ptr& error) noexcept {
    // acquire, pairs with the handle's release(): what it has taken from the result is over. Nobody makes another handle.
    if (child.refs_.load(std::memory_order_acquire) == 1) {
        detail::report_lost_error(core_, options_.name, child.spawn_site(), error);
    } else {
        child.unseen_error_ = true;
    }
}

void scope::deadline_timer::fire() noexcept {
    scope_.stop_children(stop_reason::deadline);
    if (record* parent = scope_.leave(timer_unit)) detail::schedule(*parent);
}

// ---- the parent's side -----------------------------------------------------------------------------------------

void scope::open_under(record& parent) noexcept {
    open(parent);
    is_root_ = false;
    if (!options_.deadline.set()) return;
    auto own = options_.deadline.resolve(detail::now_ns());
    if (own >= node.deadline_ns) return;  // an enclosing deadline comes first: no timer of our own
    node.deadline_ns = own;
    own_deadline_ = true;
}

bool scope::suspend_parent(record& parent) noexcept {
    if (own_deadline_) {
        pending_.fetch_add(timer_unit, std::memory_order_relaxed);  // before the timer can fire
    }
    if (!suspend_on(parent)) {
        // Stopped before it began: the body never runs. Children that were spawned by a body that is not a coroutine would be
        // joined below; here the body is lazy, so there are none.
        return false;
    }
    if (own_deadline_) detail::arm_timer(timer_, node.deadline_ns);
    return true;
}

void scope::report_borrowed_captures(std::source_location made, std::source_location spawned) const noexcept {
    core_.watcher->captures_borrowed(made, spawned);
}

/// Its own deadline stopped something in it, and nothing failed.
bool scope::overran() const noexcept {
    return !first_error_ && errors_.empty() && any_stopped_.load(std::memory_order_relaxed) &&
           node.reason.load(std::memory_order_relaxed) == stop_reason::deadline;
}

void scope::throw_outcome() {
    if (options_.on_error == on_error::collect && !errors_.empty()) throw scope_errors{std::move(errors_)};
    if (first_error_) std::rethrow_exception(first_error_);
    if (overran()) throw deadline_exceeded{};
}

namespace detail {

// ---- spawn_when_free -------------------------------------------------------------------------------------------

bool scope_room::try_reserve() {
    switch (scope_->reserve()) {
    case scope::reservation::granted: return true;
    case scope::reservation::closed: closed_ = true; return true;
    case scope::reservation::full: return false;
    }
    return false;
}

bool scope_room::start() noexcept {
    enum class found : std::uint8_t { waiting, stopped, room } now = found::waiting;
    {
        std::scoped_lock guard(scope_->lock_);
        auto seen = scope_->pending_.load(std::memory_order_relaxed);
        while (!stopped_early_) {
            bool full = (seen & scope::waiters_bit) != 0 || scope::children_of(seen) >= scope_->options_.max_tasks;
            auto wanted = full ? seen | scope::waiters_bit : seen + 1;
            if (!scope_->pending_.compare_exchange_weak(seen, wanted, std::memory_order_relaxed)) continue;
            if (!full) {
                now = found::room;
                break;
            }
            prev_ = scope_->waiters_tail_;
            (prev_ != nullptr ? prev_->next_ : scope_->waiters_head_) = this;
            scope_->waiters_tail_ = this;
            linked_ = true;
            return true;
        }
        if (now == found::waiting) now = found::stopped;
    }
    if (now == found::room) return !complete_inline();
    complete(outcome::stopped);
    return true;
}

void scope_room::waits_for(wait_sources& out) {
    {
        std::scoped_lock guard(scope_->lock_);
        if (!linked_) return out.outside();
    }
    // One that another thread is about to spawn is not listed yet.
    std::size_t listed = scope_->list_children(out, false);
    if (listed != scope_->size()) out.outside();
}

void scope_room::request_stop(stop_walk&) noexcept {
    {
        std::scoped_lock guard(scope_->lock_);
        if (!linked_) {
            stopped_early_ = true;  // not started yet; or handed room already, then this changes nothing
            return;
        }
        scope_->unlink(*this);
    }
    complete(outcome::stopped);
}

}  // namespace detail
}  // namespace belay
