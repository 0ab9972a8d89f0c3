// The branches of a group whose number is known only at run time, in one array.
#pragma once

#include <belay/runtime/detail/branches.hpp>

#include <cstddef>
#include <memory>
#include <source_location>
#include <utility>
#include <vector>

namespace belay::detail {

/// The counterpart of branch_set for any number of tasks of one type. The array is allocated with it and filled at the await, when
/// the parent's record is known.
template <class T>
class branch_array {
public:
    explicit branch_array(std::vector<task<T>>&& tasks)
        : branches_{std::allocator<branch<T>>{}.allocate(tasks.size())}, size_{tasks.size()}, tasks_{std::move(tasks)} {}
    branch_array(const branch_array&) = delete;
    branch_array& operator=(const branch_array&) = delete;
    ~branch_array() {
        std::destroy_n(branches_, made_);
        std::allocator<branch<T>>{}.deallocate(branches_, size_);
    }

    void make(record& parent, branch_group& g, std::source_location site) noexcept {
        for (; made_ < size_; ++made_) {
            std::construct_at(branches_ + made_, parent.core(), g, site, std::move(tasks_[made_]), made_);
            belongs_to(branches_[made_], parent);
        }
        tasks_ = std::vector<task<T>>{};  // their frames are the branches' now
    }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    branch<T>& operator[](std::size_t i) noexcept { return branches_[i]; }

private:
    branch<T>* branches_;
    std::size_t size_;
    std::size_t made_ = 0;
    std::vector<task<T>> tasks_;
};

}  // namespace belay::detail
