// A first-come-first-served queue of objects that live elsewhere, and from which each can be taken out again.
#pragma once

#include <cstddef>

namespace belay::detail {

template <class T>
class fifo;

/// The base of a fifo's members: their links. The fifo's.
template <class T>
class fifo_link {
    friend class fifo<T>;
    T* next_ = nullptr;
    T* prev_ = nullptr;

protected:
    fifo_link() = default;
    fifo_link(const fifo_link&) noexcept {}  // a copy is in no queue
    fifo_link& operator=(const fifo_link&) = delete;
    ~fifo_link() = default;
};

/// Intrusive; owns nothing; the caller's lock guards it and the links of its members. O(1) everywhere.
template <class T>
class fifo {
public:
    [[nodiscard]] bool empty() const noexcept { return head_ == nullptr; }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    /// The oldest, or null.
    [[nodiscard]] T* front() const noexcept { return head_; }

    void push(T& member) noexcept {
        links(member).prev_ = tail_;
        links(member).next_ = nullptr;
        (tail_ != nullptr ? links(*tail_).next_ : head_) = &member;
        tail_ = &member;
        ++size_;
    }
    /// Takes the oldest out; null when it is empty.
    T* pop() noexcept {
        T* first = head_;
        if (first != nullptr) remove(*first);
        return first;
    }
    /// `member` is in this queue.
    void remove(T& member) noexcept {
        fifo_link<T>& link = links(member);
        (link.prev_ != nullptr ? links(*link.prev_).next_ : head_) = link.next_;
        (link.next_ != nullptr ? links(*link.next_).prev_ : tail_) = link.prev_;
        --size_;
    }

private:
    static fifo_link<T>& links(T& member) noexcept { return member; }
    T* head_ = nullptr;
    T* tail_ = nullptr;
    std::size_t size_ = 0;
};

}  // namespace belay::detail
