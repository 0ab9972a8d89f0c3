// The workers of a runtime: those that it is made with, and stand-ins that join them while it runs.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>

namespace belay::detail {

class worker;

/// Grows up to its capacity and never shrinks, so that any thread may walk it at any time without a lock.
class worker_list {
public:
    /// Before anything else, once.
    void reserve(std::size_t capacity);
    /// One thread at a time; not beyond the capacity.
    void push_back(std::unique_ptr<worker> one) noexcept;
    [[nodiscard]] std::size_t size() const noexcept { return size_.load(std::memory_order_acquire); }
    [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }
    [[nodiscard]] std::unique_ptr<worker>* begin() const noexcept { return all_.get(); }
    [[nodiscard]] std::unique_ptr<worker>* end() const noexcept { return all_.get() + size(); }
    [[nodiscard]] worker& operator[](std::size_t index) const noexcept { return *all_[index]; }
    [[nodiscard]] worker& front() const noexcept { return *all_[0]; }

private:
    std::unique_ptr<std::unique_ptr<worker>[]> all_;
    std::size_t capacity_ = 0;
    std::atomic<std::size_t> size_{0};
};

}  // namespace belay::detail
