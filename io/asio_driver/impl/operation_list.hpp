#pragma once

#include <belay/runtime/driver.hpp>

namespace belay::detail {

/// First-in first-out, linked through io_operation::driver_next.
class operation_list {
public:
    [[nodiscard]] bool empty() const noexcept { return head_ == nullptr; }
    void push(io_operation& op) noexcept {
        op.driver_next = nullptr;
        *tail_ = &op;
        tail_ = &op.driver_next;
    }
    io_operation* pop() noexcept {
        io_operation* first = head_;
        if (first != nullptr && (head_ = first->driver_next) == nullptr) tail_ = &head_;
        return first;
    }
    void append(operation_list& other) noexcept {
        if (other.empty()) return;
        *tail_ = other.head_;
        tail_ = other.tail_;
        other.head_ = nullptr;
        other.tail_ = &other.head_;
    }
    /// Moves what `selected` selects to `out`, in order.
    template <class Predicate>
    void extract(operation_list& out, Predicate selected) noexcept {
        operation_list rest;
        while (io_operation* op = pop()) (selected(*op) ? out : rest).push(*op);
        append(rest);
    }
    operation_list() = default;
    operation_list(const operation_list&) = delete;
    operation_list& operator=(const operation_list&) = delete;

private:
    io_operation* head_ = nullptr;
    io_operation** tail_ = &head_;
};

}  // namespace belay::detail
