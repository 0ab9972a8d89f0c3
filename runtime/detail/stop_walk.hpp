// Delivers a stop down the tree of scopes, without recursion, allocation or retries.
#pragma once

#include <belay/runtime/operation.hpp>

namespace belay::detail {

/// What a stop calls of the user's own code, e.g. the std::stop_callbacks of a function that runs. A walk runs it when it is
/// over, outside all locks. Until then the record that postponed it stays claimed, so the awaiter that holds this stays alive.
class after_walk {
public:
    virtual void run() noexcept = 0;

protected:
    ~after_walk() = default;

private:
    friend class stop_walk;
    after_walk* next_ = nullptr;
    record* claimed_ = nullptr;
};

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
                reinterpret_cast<operation*>(word & ~record::claimed_bit)->request_stop(*this);
                if (later_ != nullptr && later_->claimed_ == nullptr) [[unlikely]] {
                    later_->claimed_ = rec;
                    continue;
                }
            }
            release(*rec);
        }
        while (after_walk* call = later_) {
            later_ = call->next_;
            record* rec = call->claimed_;
            call->run();
            release(*rec);
        }
        if (tokens_ != nullptr) [[unlikely]]
            stop_tokens();
    }

    /// From request_stop() of an operation, at most once: `call`, which lives in it, runs after the walk.
    void postpone(after_walk& call) noexcept {
        call.claimed_ = nullptr;
        call.next_ = later_;
        later_ = &call;
    }

private:
    /// Nobody looks at the operation any more on behalf of this stop.
    static void release(record& rec) noexcept {
        // acquire, pairs with operation::finish: if it has completed, its result is visible to the poll.
        auto word = rec.slot.load(std::memory_order_acquire);
        while (word & record::claimed_bit) {
            auto released = (word & ~record::claimed_bit) | record::released_bit;
            // acq_rel, pairs with operation::finish: on failure the completion's result is visible to the poll.
            if (rec.slot.compare_exchange_strong(word, released, std::memory_order_acq_rel)) return;
        }
        schedule(rec);  // completed while claimed: the resume was left to us
    }

    void stop_tokens() noexcept;
    record* head_ = nullptr;
    after_walk* later_ = nullptr;
    token_registry* tokens_ = nullptr;
};

}  // namespace belay::detail
