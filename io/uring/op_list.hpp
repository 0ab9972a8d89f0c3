// A FIFO of operations through io_operation::driver_next. An operation is in at most one list at a time: held back,
// inbox, a rescuer's batch, or about to be finished. Private to io/uring.
#pragma once

#include <belay/runtime/driver.hpp>

namespace belay::detail::uring {

class op_list {
public:
    [[nodiscard]] bool empty() const noexcept { return head_ == nullptr; }
    [[nodiscard]] io_operation* front() const noexcept { return head_; }

    void push(io_operation& op) noexcept {
        op.driver_next = nullptr;
        (tail_ ? tail_->driver_next : head_) = &op;
        tail_ = &op;
    }
    /// Null when empty. The operation may be destroyed afterwards: the list has let go of it.
    io_operation* pop() noexcept {
        io_operation* op = head_;
        if (op) {
            head_ = op->driver_next;
            if (!head_) tail_ = nullptr;
        }
        return op;
    }
    op_list take() noexcept {
        op_list all = *this;
        *this = {};
        return all;
    }

private:
    io_operation* head_ = nullptr;
    io_operation* tail_ = nullptr;
};

}  // namespace belay::detail::uring
