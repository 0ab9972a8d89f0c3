// The bridge from a plain thread into the runtime: queues a task into the root scope and waits for it.
#pragma once

#include <belay/runtime/detail/held_guards.hpp>
#include <belay/runtime/detail/root_record.hpp>

#include <condition_variable>
#include <mutex>
#include <utility>

namespace belay::detail {

/// Refuses where waiting would hang or starve: on a worker of any runtime, in a forked child, after shutdown.
void check_may_block_on(runtime_core& core);

template <class T>
class block_on_record final : public root_record<T> {
public:
    block_on_record(runtime_core& core, scope& root, task<T>&& work, std::source_location site)
        : root_record<T>{root, std::move(work), site} {
        check_may_block_on(core);
    }

    T run() {
        this->enter_scope();
        {
            std::unique_lock guard(lock_);
            gone_.wait(guard, [&] { return done_; });
        }
        return this->take_result();
    }

private:
    /// The scope has given it up: the waiting thread may go on, and with it this record.
    void destroy_self() noexcept override {
        own_code mine;
        std::scoped_lock guard(lock_);
        done_ = true;
        gone_.notify_one();
    }

    std::mutex lock_;
    std::condition_variable gone_;
    bool done_ = false;
};

}  // namespace belay::detail
