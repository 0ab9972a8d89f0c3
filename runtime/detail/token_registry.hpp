// The std::stop_tokens that tasks of one stop node have asked for. Made by the first of them: a node whose tasks never ask
// has a null pointer and no more.
#pragma once

#include <belay/runtime/detail/record.hpp>

#include <atomic>
#include <cstdint>
#include <mutex>
#include <stop_token>
#include <unordered_map>

namespace belay::detail {

/// Held by its node, and by whoever is about to stop what is in it: the callbacks of a token run user code, so they run after
/// the stop walk, outside all locks, when the node may be gone.
///
/// No token misses its stop: token_for() registers and then asks whether the task is to stop; a stopper marks the node (or the
/// record) and then looks here. Both are seq_cst, or meet under lock_. A task that ends as stopped between the mark and that look stops
/// its token itself.
class token_registry {
public:
    /// Makes it on first demand. Throws std::bad_alloc. Only by a task of the node.
    static token_registry& of(stop_node& node);
    /// A reference to that of a node that lives, or null.
    static token_registry* hold(stop_node& node) noexcept {
        token_registry* found = node.tokens.load(std::memory_order_seq_cst);
        if (found != nullptr) found->refs_.fetch_add(1, std::memory_order_relaxed);  // the node's own keeps it alive
        return found;
    }
    void release() noexcept {
        // acq_rel: the last one sees what the others did.
        if (refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
    }

    /// The same token each time a task asks. By the task itself. Throws std::bad_alloc.
    std::stop_token token_for(record& rec);
    /// The task has ended: its token stays as it is.
    void forget(const record& rec) noexcept;
    /// Runs callbacks. Any thread that holds a reference; `rec` only names the task.
    void stop(const record& rec) noexcept;
    /// Of a stop of the whole node, once. First, before any task hears of it: a task that ends at once must not take its token's
    /// source with it. Then, when all have heard of it, the callbacks.
    void begin_stop_of_all() noexcept;
    void stop_all() noexcept;
    /// The source of the task's token; without a state if it has not asked. Any thread that holds a reference.
    std::stop_source source_of(const record& rec) noexcept;

    token_registry* next = nullptr;  // in the walk of the one stopper that marked the node

private:
    token_registry() = default;
    ~token_registry() = default;
    using sources = std::unordered_map<const record*, std::stop_source>;
    std::mutex lock_;
    sources sources_;
    sources stopping_;  // were in sources_ when the node was stopped
    std::atomic<std::uint32_t> refs_{1};
};

}  // namespace belay::detail
