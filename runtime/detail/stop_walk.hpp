// Delivers a stop down the tree of scopes, without recursion, allocation or retries.
#pragma once

#include <belay/runtime/operation.hpp>

namespace belay::detail {

/// Collects claimed records and asks the operation of each to stop. A group operation (scope, when_all, timeout)
/// marks its own node in request_stop() and adds its children to the walk. A claimed record cannot be resumed, so
/// everything that hangs below it stays alive until the walk has passed.
class stop_walk {
public:
    /// Claims the record's operation, if it waits on one, and queues it for run(). The caller guarantees that the
    /// record is alive during this call: by the lock of its scope's shard, or because its parent is claimed.
    void add(record& rec) noexcept {
        // acquire, pairs with suspend_on: the operation's fields are visible before they are used.
        auto seen = rec.slot.load(std::memory_order_seq_cst);
        if (seen <= record::completed || (seen & (record::claimed_bit | record::released_bit)) != 0) return;
        if (!rec.slot.compare_exchange_strong(seen, seen | record::claimed_bit, std::memory_order_acq_rel)) return;
        rec.next = head_;
        head_ = &rec;
    }

    /// The tokens of a node that this walk has just marked: they are stopped at the end of run().
    void add_tokens_of(stop_node& node) noexcept;

    /// Asks every claimed operation, and those that they add, to stop. Linear in their number. Then runs the callbacks of
    /// std::stop_tokens: the one place where a stop runs user code, so the caller holds no lock.
    void run() noexcept {
        while (record* rec = head_) {
            head_ = rec->next;
            rec->next = nullptr;
            // acquire, pairs with operation::finish: if it has completed meanwhile, its result is visible to the poll.
            auto word = rec->slot.load(std::memory_order_acquire);
            if (word & record::claimed_bit) {  // not completed between claim and here
                auto op = word & ~record::claimed_bit;
                reinterpret_cast<operation*>(op)->request_stop(*this);
                word = op | record::claimed_bit;
                // acq_rel, pairs with operation::finish: on failure the completion's result is visible to the poll.
                if (rec->slot.compare_exchange_strong(word, op | record::released_bit, std::memory_order_acq_rel)) continue;
            }
            schedule(*rec);  // completed while claimed: the resume was left to us
        }
        if (tokens_ != nullptr) [[unlikely]]
            stop_tokens();
    }

private:
    void stop_tokens() noexcept;
    record* head_ = nullptr;
    token_registry* tokens_ = nullptr;
};

}  // namespace belay::detail
