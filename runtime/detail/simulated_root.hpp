// The record of the task that simulation::block_on() runs.
#pragma once

#include <belay/runtime/detail/root_record.hpp>

#include <utility>

namespace belay::detail {

class simulator;

/// On the heap, because a program that cannot be ended keeps it.
template <class T>
class simulated_root final : public root_record<T> {
public:
    simulated_root(scope& root, task<T>&& work, std::source_location site) : root_record<T>{root, std::move(work), site} {}
    using root_record<T>::enter_scope;
    using root_record<T>::take_result;
    [[nodiscard]] const bool& done() const noexcept { return done_; }

private:
    /// The scope has given it up.
    void destroy_self() noexcept override { done_ = true; }
    bool done_ = false;
};

}  // namespace belay::detail
