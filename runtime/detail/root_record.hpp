// The record of a task that a plain thread waits for: a child of the root scope that keeps its result for the waiter.
#pragma once

#include <belay/runtime/detail/child_record.hpp>
#include <belay/runtime/detail/result_slot.hpp>
#include <belay/runtime/scope.hpp>
#include <belay/runtime/task.hpp>

#include <source_location>
#include <utility>

namespace belay::detail {

/// Lies on the waiter's stack. destroy_self(), the last that the executor does with it, tells the waiter.
template <class T>
class root_record : public child_record {
protected:
    root_record(scope& root, task<T>&& work, std::source_location site) noexcept
        : child_record{root, site}, work_{std::move(work)} {
        task_access::make_root(work_, *this);
    }
    ~root_record() = default;

    /// Queues it. Throws scope_closed.
    void enter_scope() {
        scope_access::reserve_or_throw(parent_scope());
        scope_access::adopt(parent_scope(), *this);
    }
    /// Once it has ended: its value, its error, or task_stopped.
    T take_result() {
        if (how() == outcome::stopped)
            throw task_stopped{scope_access::node(parent_scope()).reason.load(std::memory_order_relaxed)};
        return result_.take();
    }

private:
    record* on_done(outcome how) noexcept override {
        if (how != outcome::stopped && !result_.take_from(task_access::result(work_))) how = outcome::error;
        task_access::destroy(work_);
        record* parent = this->end_child(how, nullptr);
        // The handle's reference, since there is no handle. Last: a waiter that shuts the runtime down at once must find the root
        // scope without this task.
        this->release();
        return parent;
    }

    task<T> work_;
    result_slot<T> result_;
};

}  // namespace belay::detail
