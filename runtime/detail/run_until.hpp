// local_runtime::run_until: queues a task into the root scope and drives the runtime until it has ended.
#pragma once

#include <belay/runtime/detail/host_turn.hpp>
#include <belay/runtime/detail/root_record.hpp>

#include <utility>

namespace belay::detail {

template <class T>
class run_until_record final : public root_record<T> {
public:
    run_until_record(runtime_core& core, scope& root, task<T>&& work, std::source_location site)
        : root_record<T>{root, std::move(work), site}, core_{core} {}

    T run() {
        {
            host_turn turn{core_, host_call::run_until};
            this->enter_scope();
            turn.run_until(done_);
        }
        return this->take_result();
    }

private:
    /// The scope has given it up. On the driving thread: only a poll ends a task.
    void destroy_self() noexcept override { done_ = true; }

    runtime_core& core_;
    bool done_ = false;
};

}  // namespace belay::detail
