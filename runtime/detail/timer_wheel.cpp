#include <belay/runtime/detail/timer_wheel.hpp>

namespace belay::detail {

timer_node* timer_wheel::expire(std::int64_t now_ns) noexcept {
    const std::uint64_t target = tick_at_or_before(now_ns);
    // Another thread's clock reading may be a little older than the one of the latest call.
    if (target < elapsed_) return nullptr;

    timer_node* due = nullptr;
    timer_node** tail = &due;
    while (occupied_levels_ != 0) {
        const unsigned slot = first_slot();
        const unsigned shift = slot / slots_per_level * slot_bits;
        // The first tick that the slot covers: elapsed_ with this digit replaced and the lower ones zero.
        const std::uint64_t above = elapsed_ >> shift >> slot_bits << slot_bits;
        const std::uint64_t start = (above | (slot % slots_per_level)) << shift;
        if (start > target) break;

        timer_node* node = slots_[slot].first;
        slots_[slot].first = nullptr;
        mark_empty(slot);
        // Everything below this slot is empty, so moving elapsed_ to its start keeps the order of the levels.
        elapsed_ = start;
        if (shift == 0) {
            *tail = node;
            for (; node != nullptr; node = node->next) {
                node->prev = nullptr;
                tail = &node->next;
                --size_;
            }
        } else {
            while (node != nullptr) {
                timer_node* next = node->next;
                link(*node);
                node = next;
            }
        }
    }
    elapsed_ = target;
    return due;
}

}  // namespace belay::detail
