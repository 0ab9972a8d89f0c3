// The ready tasks that only one worker may run.
#pragma once

#include <belay/runtime/detail/arch.hpp>
#include <belay/runtime/detail/record.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace belay::detail {

/// First come, first served; linked through record::next, so that it needs no memory. push() and pop() are the owner's, put() is
/// anybody's: the intrusive stack of Treiber (1986), which the owner takes as a whole, so nothing is compared with what may have
/// come back. No thief, no watchdog and no handover sees what is in here.
class pinned_queue {
public:
    /// Owner only.
    void push(record& rec) noexcept {
        append(rec);
        pushed_.fetch_add(1, std::memory_order_relaxed);  // a statistic
    }
    /// Any thread, which then looks whether the owner sleeps. seq_cst, pairs with waiting(): see worker::park().
    void put(record& rec) noexcept {
        record* top = inbox_.load(std::memory_order_relaxed);
        do {
            rec.next = top;
        } while (!inbox_.compare_exchange_weak(top, &rec, std::memory_order_seq_cst, std::memory_order_relaxed));
        pushed_.fetch_add(1, std::memory_order_relaxed);  // afterwards: what is counted is, or was, in here
    }
    /// Owner only. A hint: what arrives meanwhile may not be seen.
    [[nodiscard]] bool ready() const noexcept { return head_ != nullptr || inbox_.load(std::memory_order_relaxed) != nullptr; }
    /// Owner only: the sleeper's last look.
    [[nodiscard]] bool waiting() const noexcept { return head_ != nullptr || inbox_.load(std::memory_order_seq_cst) != nullptr; }
    /// Owner only. The oldest, or null.
    record* pop() noexcept {
        // Before the owner's own: a task that yields for ever must not hide what comes from outside.
        if (inbox_.load(std::memory_order_relaxed) != nullptr) empty_inbox();
        record* first = head_;
        if (first == nullptr) return nullptr;
        head_ = first->next;
        if (head_ == nullptr) tail_ = nullptr;
        first->next = nullptr;
        popped_.store(++pops_, std::memory_order_relaxed);
        return first;
    }
    /// Any thread; from the recent past. A record may be popped before its put() has counted it.
    [[nodiscard]] std::size_t size() const noexcept {
        auto gone = popped();
        auto all = pushed();
        return all > gone ? static_cast<std::size_t>(all - gone) : 0;
    }
    /// Any thread: how many have come and gone so far. As long as popped() is below what pushed() was, one of those that were here then
    /// still is. Relaxed: nothing is read on the strength of it.
    [[nodiscard]] std::uint64_t popped() const noexcept { return popped_.load(std::memory_order_relaxed); }
    [[nodiscard]] std::uint64_t pushed() const noexcept { return pushed_.load(std::memory_order_relaxed); }

private:
    void append(record& rec) noexcept {
        rec.next = nullptr;
        (tail_ != nullptr ? tail_->next : head_) = &rec;
        tail_ = &rec;
    }
    void empty_inbox() noexcept {
        // acquire: pairs with put(); what was done to the records before is visible.
        record* newest = inbox_.exchange(nullptr, std::memory_order_acquire);
        record* oldest = nullptr;
        while (newest != nullptr) {
            record* older = newest->next;
            newest->next = oldest;
            oldest = newest;
            newest = older;
        }
        while (oldest != nullptr) {
            record* later = oldest->next;
            append(*oldest);
            oldest = later;
        }
    }

    record* head_ = nullptr;
    record* tail_ = nullptr;
    std::uint64_t pops_ = 0;  // the owner's popped_
    std::atomic<std::uint64_t> popped_{0};
    alignas(cache_line_size) std::atomic<record*> inbox_{nullptr};
    std::atomic<std::uint64_t> pushed_{0};
};

}  // namespace belay::detail
