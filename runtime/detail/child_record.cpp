// A spawned task as others see it: how it is stopped by itself, and how it is waited for.
#include <belay/runtime/detail/child_record.hpp>

#include <belay/runtime/detail/token_registry.hpp>
#include <belay/runtime/detail/wait_sources.hpp>
#include <belay/runtime/detail/worker.hpp>
#include <belay/runtime/observer.hpp>
#include <belay/runtime/scope.hpp>

#include <mutex>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>

namespace belay::detail {

child_record::child_record(scope& parent, std::source_location site) noexcept
    : record{parent.core_, parent.node, site}, scope_{&parent} {}

record* child_record::end_child(outcome how, const std::exception_ptr* error) noexcept {
    return scope_->child_ended(*this, how, error);
}

/// Its scope, even its runtime, may have gone.
[[gnu::cold]] void child_record::report_unseen(const std::exception_ptr& error) noexcept {
    worker* w = this_worker();
    observer& to = w != nullptr ? *w->core().watcher : process_observer();
    to.error_lost(scope_name_ != nullptr ? std::string_view{*scope_name_} : std::string_view{}, spawn_site(), error);
    forget_unseen();
}

/// It is in no list any more.
[[gnu::cold]] void child_record::keep_scope_name(std::string_view name) noexcept {
    try {
        scope_name_ = new std::string{name};
    } catch (...) {
        scope_name_ = nullptr;
    }
}

[[gnu::cold]] void child_record::forget_unseen() noexcept {
    unseen_error_ = false;
    delete std::exchange(scope_name_, nullptr);
}

// Why everything here is alive. The record: the caller's handle has a reference, ended or not. The scope, and the node with
// it: a task that has not ended has not left its scope, and scope::child_ended() needs join_lock_ to end it. What is claimed: a
// claimed task cannot be resumed, hence not end, until run() has released it. Of a task that has ended nothing is read but
// ended_, so neither its scope nor its runtime need be there.
void child_record::request_stop() noexcept {
    stop_walk walk;
    std::stop_source token{std::nostopstate};
    {
        std::scoped_lock guard(join_lock_);
        if (ended() || stop_asked()) return;  // stopped before, by itself or with its scope: that reason stays
        set_own_stop();
        {
            std::scoped_lock held(scope_->shard_at(shard_).lock);  // against a snapshot that pins the record meanwhile
            walk.add(*this);
        }
        // Now, because a task that ends at once takes its source with it.
        if (token_registry* tokens = token_registry::hold(node())) {
            token = tokens->source_of(*this);
            tokens->release();
        }
    }
    walk.run();
    token.request_stop();
}

// ---- join ------------------------------------------------------------------------------------------------------

bool join_operation::start() noexcept {
    switch (start_waiting()) {
    case admission::waiting: return true;
    case admission::done: return !complete_inline();
    case admission::stopped: complete(outcome::stopped); return true;
    }
    return true;
}

admission join_operation::start_waiting() noexcept {
    std::scoped_lock guard(child_->join_lock_);
    if (stopped_early_) return admission::stopped;
    if (child_->ended()) return claim() ? admission::done : admission::stopped;
    if (child_->joiner_ != nullptr) {
        if (same_selection(*child_->joiner_)) misuse("select() was given join() of the same task twice: give it once");
        misuse("two tasks join the same join_handle at once: join a task once");
    }
    child_->joiner_ = this;
    return admission::waiting;
}

void join_operation::waits_for(wait_sources& out) {
    std::scoped_lock guard(child_->join_lock_);
    child_->joiner_ != this || child_->ended() ? out.outside() : out.end_of(*child_);
}

void join_operation::withdraw(grant_list&) noexcept {
    std::scoped_lock guard(child_->join_lock_);
    if (child_->joiner_ == this) child_->joiner_ = nullptr;
}

void join_operation::request_stop(stop_walk&) noexcept {
    {
        std::scoped_lock guard(child_->join_lock_);
        if (child_->joiner_ != this) {
            stopped_early_ = true;  // not started yet; or being completed, then this changes nothing
            return;
        }
        if (child_->ended()) return;  // the child has taken us and completes
        child_->joiner_ = nullptr;
    }
    complete(outcome::stopped);
}

}  // namespace belay::detail
