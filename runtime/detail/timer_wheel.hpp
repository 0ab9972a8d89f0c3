#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace belay::detail {

// A timer, embedded in (or a base of) what it belongs to. All members are the wheel's.
struct timer_node {
    timer_node() = default;
    timer_node(const timer_node&) = delete;
    timer_node& operator=(const timer_node&) = delete;

    bool linked() const noexcept { return prev != nullptr; }

    timer_node* next = nullptr;
    timer_node* prev = nullptr;  // of a slot's first node: its last one; null when not in a wheel
    std::uint64_t deadline_tick = 0;
    std::uint32_t slot = 0;  // level * 64 + position, while linked
    bool is_grace = false;   // its owner's mark, not the wheel's: see worker::cut_graces()
};

// A hierarchical timing wheel (Varghese and Lauck, SOSP 1987): insert and remove are O(1), each timer moves down at most
// once per level before it fires. Ticks are 2^16 ns. Eight levels of 64 slots reach past the end of the int64 clock, so
// no deadline needs special treatment.
//
//     timer_wheel wheel(now);
//     wheel.insert(timer, now + 1'000'000);
//     for (timer_node *due = wheel.expire(later), *next; due != nullptr; due = next) { next = due->next; fire(*due); }
//
// Contract
//  - Not thread-safe: the caller holds a lock, which also covers the chain's nodes until they are out of remove()'s reach.
//  - A timer never fires before its deadline, and at most one tick after it if expire() is called then. A deadline that
//    has passed counts as the tick of the latest expire().
//  - Nodes are not owned: each has to be removed or expired before it or the wheel dies. Checked by assert.
class timer_wheel {
public:
    static constexpr int tick_shift = 16;
    static constexpr std::int64_t tick_ns = std::int64_t{1} << tick_shift;
    static constexpr std::int64_t never_ns = std::numeric_limits<std::int64_t>::max();

    explicit timer_wheel(std::int64_t now_ns) noexcept : elapsed_(tick_at_or_before(now_ns)) {}
    timer_wheel(const timer_wheel&) = delete;
    timer_wheel& operator=(const timer_wheel&) = delete;
    ~timer_wheel() { assert(size_ == 0 && "timers must be removed before their wheel is destroyed"); }

    // The node must not be linked. Timers of one tick fire in the order of their insertion.
    void insert(timer_node& node, std::int64_t deadline_ns) noexcept {
        assert(!node.linked());
        node.deadline_tick = std::max(tick_at_or_after(deadline_ns), elapsed_);
        link(node);
        ++size_;
    }

    // True if the node was in the wheel; false if it never was, has expired or was removed.
    bool remove(timer_node& node) noexcept {
        if (!node.linked()) return false;
        unlink(node);
        --size_;
        return true;
    }

    // Takes out the timers that are due, in order of their ticks, chained by `next` and ended by null. They are no longer
    // linked. A time before that of an earlier call yields nothing. Cost: O(timers moved), however far the time jumps.
    [[nodiscard]] timer_node* expire(std::int64_t now_ns) noexcept;

    // Takes out the timers for which pred(node) is true, chained by `next` and ended by null. O(all timers).
    template <class Pred>
    [[nodiscard]] timer_node* extract_if(Pred pred) noexcept {
        timer_node* chain = nullptr;
        for (slot_list& list : slots_) {
            for (timer_node *node = list.first, *next = nullptr; node != nullptr; node = next) {
                next = node->next;
                if (!pred(*node)) continue;
                remove(*node);
                node->next = chain;
                chain = node;
            }
        }
        return chain;
    }

    // When to call expire(): never later than the earliest timer fires, and earlier only if that slot's earliest timer
    // was removed; never_ns when empty.
    std::int64_t next_expiry_ns() const noexcept {
        return occupied_levels_ == 0 ? never_ns : start_of(slots_[first_slot()].earliest_tick);
    }

    // True if a timer is due at that time and not taken out. Looks at `most` of those that come first, so it may miss one.
    bool has_due(std::int64_t now_ns, unsigned most) const noexcept {
        if (occupied_levels_ == 0) return false;
        const timer_node* node = slots_[first_slot()].first;
        for (; node != nullptr && most > 0; node = node->next, --most)
            if (node->deadline_tick <= tick_at_or_before(now_ns)) return true;
        return false;
    }

    // The time at which a tick begins.
    static constexpr std::int64_t start_of(std::uint64_t tick) noexcept {
        return static_cast<std::int64_t>((tick << tick_shift) ^ sign_bit);
    }

    std::size_t size() const noexcept { return size_; }
    bool empty() const noexcept { return size_ == 0; }

private:
    // Levels are digits of the tick in base 64. A timer is at the highest digit in which its tick differs from elapsed_,
    // in the slot of its own value there; a timer of the current tick is at level 0. Hence, at any moment:
    //  - every occupied slot is ahead of elapsed_'s own digit (at level 0: or equal to it), so no slot wraps around;
    //  - all timers of a level fire before those of the levels above it;
    //  - timers of one tick are in one slot, in the order of their insertion.
    static constexpr unsigned slot_bits = 6;
    static constexpr unsigned slots_per_level = 1U << slot_bits;
    static constexpr unsigned level_count = 8;
    static constexpr std::uint64_t last_tick = (std::uint64_t{1} << (64 - tick_shift)) - 1;
    static_assert(level_count * slot_bits >= 64 - tick_shift);

    struct slot_list {
        timer_node* first = nullptr;
        std::uint64_t earliest_tick = 0;  // while occupied: a lower bound of its timers, exact unless one was removed
    };

    // Flipping the sign bit maps int64 to uint64 in order, so negative times need no cases.
    static constexpr std::uint64_t sign_bit = std::uint64_t{1} << 63;
    static constexpr std::uint64_t tick_at_or_before(std::int64_t ns) noexcept {
        return (static_cast<std::uint64_t>(ns) ^ sign_bit) >> tick_shift;
    }
    static constexpr std::uint64_t tick_at_or_after(std::int64_t ns) noexcept {
        // The clock's last tick has no successor; a deadline inside it, in the year 2262, is that tick.
        const bool inside = (static_cast<std::uint64_t>(ns) & (std::uint64_t{tick_ns} - 1)) != 0;
        return std::min(tick_at_or_before(ns) + (inside ? 1 : 0), last_tick);
    }

    // The slot whose timers are the next ones; not when empty.
    unsigned first_slot() const noexcept {
        const auto level = static_cast<unsigned>(std::countr_zero(occupied_levels_));
        return level * slots_per_level + static_cast<unsigned>(std::countr_zero(occupied_[level]));
    }

    unsigned slot_of(std::uint64_t tick) const noexcept {
        // `| 1` only makes the argument non-zero: bit 0 belongs to level 0 anyway.
        const auto highest_bit = static_cast<unsigned>(std::bit_width((tick ^ elapsed_) | 1) - 1);
        const unsigned level = highest_bit / slot_bits;
        return level * slots_per_level + static_cast<unsigned>((tick >> (level * slot_bits)) % slots_per_level);
    }

    void mark_occupied(unsigned slot) noexcept {
        occupied_[slot / slots_per_level] |= std::uint64_t{1} << (slot % slots_per_level);
        occupied_levels_ |= 1U << (slot / slots_per_level);
    }

    void mark_empty(unsigned slot) noexcept {
        const unsigned level = slot / slots_per_level;
        occupied_[level] &= ~(std::uint64_t{1} << (slot % slots_per_level));
        if (occupied_[level] == 0) occupied_levels_ &= ~(1U << level);
    }

    void link(timer_node& node) noexcept {
        node.slot = slot_of(node.deadline_tick);
        node.next = nullptr;
        slot_list& list = slots_[node.slot];
        if (list.first == nullptr) {
            node.prev = &node;
            list = {&node, node.deadline_tick};
            mark_occupied(node.slot);
            return;
        }
        node.prev = list.first->prev;
        node.prev->next = &node;
        list.first->prev = &node;
        list.earliest_tick = std::min(list.earliest_tick, node.deadline_tick);
    }

    void unlink(timer_node& node) noexcept {
        slot_list& list = slots_[node.slot];
        if (list.first != &node) {
            node.prev->next = node.next;
            (node.next != nullptr ? node.next : list.first)->prev = node.prev;
        } else {
            list.first = node.next;
            if (node.next != nullptr)
                node.next->prev = node.prev;
            else
                mark_empty(node.slot);
        }
        node.prev = nullptr;
    }

    std::uint64_t elapsed_;  // the latest tick that expire() was told of, or the start of the slot it is taking apart
    std::size_t size_ = 0;
    std::uint32_t occupied_levels_ = 0;  // bit per level with any occupied slot
    std::array<std::uint64_t, level_count> occupied_{};
    std::array<slot_list, std::size_t{level_count} * slots_per_level> slots_{};
};

}  // namespace belay::detail
