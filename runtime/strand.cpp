#include <belay/runtime/strand.hpp>

#include <belay/runtime/detail/worker.hpp>

#include <mutex>

namespace belay::detail {

// ---- the holder ------------------------------------------------------------------------------------------------

/// The next in the queue, for whom the strand stays held; or null, and the strand is free.
strand_job* strand_core::next() noexcept {
    std::scoped_lock guard(lock_);
    strand_job* job = waiting_.pop();
    if (job == nullptr) {
        word_.release();  // everybody who waited gave up
        return nullptr;
    }
    job->linked_ = false;
    if (waiting_.empty()) word_.hand_over_to_last();
    return job;
}

/// Runs the functions that wait, each as its own task sees the world, and sends their callers on. What it cannot run here it
/// makes the next holder.
void strand_core::run_waiting() noexcept {
    worker& here = *this_worker();
    record* me = here.current();
    strand_job* job = next();
    for (int left = functions_in_a_row; job != nullptr; --left) {
        const record& caller = *job->owner();
        bool run_here = left > 0 && job->kind_ == strand_job::kind::function && &caller.core() == &here.core() &&
                        here.may_run(caller) && here.spend_budget();
        if (!run_here) return grant(*job);
        here.set_current(job->owner());  // this_task, and the reports of guardrails, are about the task whose function it is
        job->execute();
        here.set_current(me);
        // Before the caller goes on: it may be the last one, and destroy the strand.
        strand_job* after = next();
        job->complete_fair(outcome::value);
        job = after;
    }
}

void strand_core::grant(strand_job& job) noexcept {
    job.granted_ = true;
    parked_ = job.owner();
    job.complete_fair(outcome::value);
}

void strand_core::release_and_hand_over() noexcept {
    inside_.store(nullptr, std::memory_order_relaxed);  // ordered by the release of the strand, as is parked_
    parked_ = nullptr;
    if (word_.release_if_alone()) return;
    if (strand_job* job = next()) grant(*job);
}

// ---- misuse ----------------------------------------------------------------------------------------------------

void strand_core::set_coroutine(record& rec, const stop_node& inside) noexcept {
    parked_ = &rec;
    inside_.store(&inside, std::memory_order_relaxed);  // see refuse_nested()
}

/// A task below the coroutine that holds the strand would wait for itself. Relaxed: such a task was started by that coroutine,
/// after set_coroutine(), and sees its value until it ends; what others see does not matter, since it is none of their
/// ancestors.
void strand_core::refuse_nested(const record& rec) const noexcept {
    const stop_node* inside = inside_.load(std::memory_order_relaxed);
    if (inside == nullptr) return;
    for (const stop_node* node = &rec.node(); node != nullptr; node = node->parent)
        if (node == inside)
            misuse(
                "strand.run() was awaited inside a coroutine that runs on the same strand: it would wait for itself. Call the "
                "function directly (it is serialised already), or leave the strand first");
}

void strand_core::destroyed_in_use() noexcept {
    std::scoped_lock guard(lock_);
    const record* user = parked_ != nullptr ? parked_ : waiting_.empty() ? nullptr : waiting_.front()->owner();
    if (user != nullptr && user->core().stopping()) return;  // abandoned with its runtime, which leaks it: it never comes back
    misuse(
        "a strand was destroyed while a function runs on it or tasks wait for it: let it outlive the scope of the tasks that use "
        "it");
}

// ---- a caller --------------------------------------------------------------------------------------------------

bool strand_job::suspend_for(record& rec) noexcept {
    if (done_) {  // only the budget is used up
        if (kind_ == kind::coroutine) core_->parked_ = &rec;
        schedule_fair(rec);
        return true;
    }
    core_->refuse_nested(rec);
    return !suspend_on(rec) || start();
}

bool strand_job::start() noexcept {
    {
        std::scoped_lock guard(core_->lock_);
        if (!stopped_early_) {
            done_ = core_->word_.acquire_or_announce();
            if (!done_) {
                core_->waiting_.push(*this);
                linked_ = true;
                return true;
            }
        }
    }
    if (!done_) {
        complete(outcome::stopped);
        return true;
    }
    if (kind_ == kind::function) {
        execute();
        give_back();
    }
    return !complete_inline();
}

void strand_job::request_stop(stop_walk&) noexcept {
    {
        std::scoped_lock guard(core_->lock_);
        if (!linked_) {
            stopped_early_ = true;  // not started yet; or its function runs or is about to, then this changes nothing
            return;
        }
        core_->waiting_.remove(*this);
        linked_ = false;
        // The announcement may stay without waiters: next() then finds the queue empty.
    }
    complete(outcome::stopped);
}

}  // namespace belay::detail
