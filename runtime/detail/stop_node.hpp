// One node of the tree of stops: a scope, a timeout, a group of branches. Every task record belongs to one node.
#pragma once

#include <belay/runtime/stop.hpp>

#include <atomic>
#include <cstdint>
#include <limits>

namespace belay::detail {

class shield_group;
class token_registry;

inline constexpr std::int64_t no_deadline = std::numeric_limits<std::int64_t>::max();

/// A node is level-triggered: once `reason` is set it stays set, and every later suspension under it stops too.
struct stop_node {
    /// seq_cst, the Dekker pair of record::stop_asked(): the stopper stores `reason` and then reads the records'
    /// slots; a task publishes its operation in its slot and then reads `reason`. At least one of them sees the other.
    std::atomic<stop_reason> reason{stop_reason::none};
    /// The enclosing node; null at a runtime's root.
    stop_node* parent = nullptr;
    /// The effective deadline in nanoseconds of the steady clock: the minimum up to the nearest shield.
    std::int64_t deadline_ns = no_deadline;
    /// The nearest shield around it, itself included; null when there is none.
    shield_group* shield = nullptr;
    /// Until when a cleanup below it that began has time: no stop is ignored before. 0: there was none.
    std::atomic<std::int64_t> cleanup_until_ns{0};
    /// The std::stop_tokens of its tasks; null until one of them asks.
    std::atomic<token_registry*> tokens{nullptr};

    stop_node() = default;
    stop_node(const stop_node&) = delete;
    stop_node& operator=(const stop_node&) = delete;
    ~stop_node() {
        if (tokens.load(std::memory_order_relaxed) != nullptr) [[unlikely]]
            drop_tokens();
    }

    [[nodiscard]] bool stopped() const noexcept { return reason.load(std::memory_order_seq_cst) != stop_reason::none; }

    /// True for the caller that turned the node from running to stopped.
    bool mark(stop_reason why) noexcept {
        auto expected = stop_reason::none;
        return reason.compare_exchange_strong(expected, why, std::memory_order_seq_cst);
    }

    /// For this node and all above it. Relaxed: the watchdog reads it, and looks again later.
    void expect_cleanup(std::int64_t until_ns) noexcept {
        for (stop_node* n = this; n != nullptr; n = n->parent) {
            auto known = n->cleanup_until_ns.load(std::memory_order_relaxed);
            while (known < until_ns && !n->cleanup_until_ns.compare_exchange_weak(known, until_ns, std::memory_order_relaxed)) {}
        }
    }

private:
    void drop_tokens() noexcept;
};

}  // namespace belay::detail
