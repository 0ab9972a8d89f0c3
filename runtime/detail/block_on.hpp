// The bridge from a plain thread into the runtime: queues a task into the root scope and waits for it.
#pragma once

#include <belay/runtime/detail/child_record.hpp>
#include <belay/runtime/scope.hpp>

#include <condition_variable>
#include <mutex>
#include <utility>

namespace belay::detail {

/// Refuses where waiting would hang or starve: on a worker of any runtime, in a forked child, after shutdown.
void check_may_block_on(runtime_core& core);

template <class T>
class block_on_record final : public child_record {
public:
    block_on_record(runtime_core& core, scope& root, task<T>&& work, std::source_location site)
        : child_record{root, site}, work_{std::move(work)} {
        check_may_block_on(core);
        task_access::make_root(work_, *this);
    }

    T run() {
        scope_access::reserve_or_throw(parent_scope());
        scope_access::adopt(parent_scope(), *this);
        {
            std::unique_lock guard(lock_);
            gone_.wait(guard, [&] { return done_; });
        }
        if (how() == outcome::stopped)
            throw task_stopped{scope_access::node(parent_scope()).reason.load(std::memory_order_relaxed)};
        return result_.take();
    }

    record* on_done(outcome how) noexcept override {
        if (how != outcome::stopped && !result_.take_from(task_access::result(work_))) how = outcome::error;
        task_access::destroy(work_);
        this->release();  // the handle's reference: there is no handle
        return this->end_child(how, nullptr);
    }

    /// The scope has given it up: the waiting thread may go on, and with it this record.
    void destroy_self() noexcept override {
        std::scoped_lock guard(lock_);
        done_ = true;
        gone_.notify_one();
    }

private:
    task<T> work_;
    result_slot<T> result_;
    std::mutex lock_;
    std::condition_variable gone_;
    bool done_ = false;
};

}  // namespace belay::detail
