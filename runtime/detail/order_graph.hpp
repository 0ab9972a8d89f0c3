// Which lock was taken while which other one was held. A cycle in it is a deadlock that waits for its day.
#pragma once

#include <belay/runtime/observer.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace belay::detail {

/// Locks are numbers that are never used twice, so one that is made where another one was has nothing to do with it.
///
/// A cycle is no finding if it cannot happen: if one task alone made two of its steps, which it cannot do at a time; or if two
/// of its steps were always made under a third lock (a gate), which lets only one of them happen at a time. (The gates and the
/// tasks are those of ThreadSanitizer's issues 814 and 488, which it reports; the graph over lock instances is that of Abseil's
/// Mutex.) Not thread-safe. Functions that allocate may throw std::bad_alloc, and have then noted less.
class order_graph {
public:
    using node = std::uint32_t;
    static constexpr std::size_t most_edges = 65'536;  ///< what comes then is not noted
    static constexpr std::size_t most_looked_at = 2'000;  ///< edges in one search
    static constexpr std::size_t longest_cycle = 16;
    static constexpr std::size_t most_found = 4'096;  ///< cycles; then nothing more is told
    static constexpr std::size_t most_gates = 4;

    /// 0 if there are no numbers left: such a lock is not followed.
    node add();
    /// The lock is destroyed.
    void remove(node gone) noexcept;
    /// `who`, not 0, takes `to` while it holds `from`, and the gates besides. Returns the steps of a cycle that this closes, the new
    /// one first, or nothing. A cycle is found once.
    std::vector<order_step> note(node from, node to, std::uint64_t who, std::span<const node> gates, const order_step& step);

    [[nodiscard]] std::size_t edges() const noexcept { return edges_.size(); }

private:
    static constexpr std::uint64_t several = 0;
    struct edge {
        std::uint64_t key = 0;
        std::uint64_t who = several;
        std::array<node, most_gates> gates{};  // those that were held each time
        std::size_t gate_count = 0;
        order_step step;
    };
    struct exits {
        std::vector<node> to;
        std::size_t clean_at = 16;  // so many: look whether the locks are still there
    };
    static std::uint64_t key(node from, node to) noexcept { return std::uint64_t{from} << 32U | to; }
    static bool can_happen_together(const edge& a, const edge& b) noexcept;
    static bool learn(edge& known, std::uint64_t who, std::span<const node> gates) noexcept;
    bool has_room() noexcept;
    void clean(node from, exits& out) noexcept;
    /// The edges of a way from `from` to `to` that can be gone together with `closing`.
    std::vector<const edge*> find_path(node from, node to, const edge& closing);

    node newest_ = 0;
    std::size_t refused_ = 0;  // edges, for want of room
    // The locks that are there, and what was taken under each; an edge to one that has gone may stay.
    std::unordered_map<node, exits> nodes_;
    std::unordered_map<std::uint64_t, edge> edges_;
    std::unordered_set<std::uint64_t> found_;  // cycles, as the sum of their edges' hashes
};

}  // namespace belay::detail
