#include <belay/runtime/detail/order_graph.hpp>

#include <algorithm>
#include <limits>

namespace belay::detail {
namespace {

// The finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
std::uint64_t hash(std::uint64_t x) noexcept {
    x = (x ^ (x >> 30U)) * 0xbf58476d1ce4e5b9U;
    x = (x ^ (x >> 27U)) * 0x94d049bb133111ebU;
    return x ^ (x >> 31U);
}

}  // namespace

order_graph::node order_graph::add() {
    if (newest_ == std::numeric_limits<node>::max()) return 0;
    nodes_.try_emplace(newest_ + 1);
    return ++newest_;
}

void order_graph::remove(node gone) noexcept {
    auto at = nodes_.find(gone);
    if (at == nodes_.end()) return;
    for (node to : at->second.to) edges_.erase(key(gone, to));
    nodes_.erase(at);
}

/// A lock that lives for long, and under which many are taken that do not, would keep an edge to each.
void order_graph::clean(node from, exits& out) noexcept {
    std::erase_if(out.to, [&](node to) {
        bool gone = !nodes_.contains(to);
        if (gone) edges_.erase(key(from, to));
        return gone;
    });
    out.clean_at = std::max<std::size_t>(16, 2 * out.to.size());
}

/// True if it can be part of more cycles now.
bool order_graph::learn(edge& known, std::uint64_t who, std::span<const node> gates) noexcept {
    bool news = known.who != several && known.who != who;
    if (news) known.who = several;
    auto end = std::remove_if(known.gates.begin(), known.gates.begin() + static_cast<std::ptrdiff_t>(known.gate_count),
                              [&](node gate) { return std::ranges::find(gates, gate) == gates.end(); });
    auto left = static_cast<std::size_t>(end - known.gates.begin());
    news = news || left != known.gate_count;
    known.gate_count = left;
    return news;
}

/// Where there is none, what leads to locks that have gone makes some, now and then.
bool order_graph::has_room() noexcept {
    constexpr std::size_t between_sweeps = 4'096;
    if (edges_.size() < most_edges) return true;
    if (refused_++ % between_sweeps != 0) return false;
    for (auto& [from, out] : nodes_) clean(from, out);
    return edges_.size() < most_edges;
}

std::vector<order_step> order_graph::note(node from, node to, std::uint64_t who, std::span<const node> gates,
                                          const order_step& step) {
    auto at = edges_.find(key(from, to));
    if (at == edges_.end()) {
        if (!has_room()) return {};
        exits& out = nodes_[from];
        if (out.to.size() >= out.clean_at) clean(from, out);
        out.to.push_back(to);
        try {
            at = edges_.try_emplace(key(from, to)).first;
        } catch (...) {
            out.to.pop_back();
            throw;
        }
        edge& made = at->second;
        made.key = at->first;
        made.who = who;
        made.step = step;
        made.gate_count = std::min(gates.size(), most_gates);
        std::ranges::copy(gates.first(made.gate_count), made.gates.begin());
    } else if (!learn(at->second, who, gates)) {
        return {};
    } else {
        at->second.step = step;  // which may be part of what the one before could not
    }
    edge& closing = at->second;
    auto path = find_path(to, from, closing);
    if (path.empty()) return {};
    std::uint64_t name = hash(closing.key);
    for (const edge* e : path) name += hash(e->key);
    if (found_.size() >= most_found || !found_.insert(name).second) return {};
    std::vector<order_step> cycle{step};
    for (const edge* e : path) cycle.push_back(e->step);
    return cycle;
}

bool order_graph::can_happen_together(const edge& a, const edge& b) noexcept {
    if (a.who != several && a.who == b.who) return false;
    auto gates = [](const edge& e) { return std::span{e.gates}.first(e.gate_count); };
    return std::ranges::none_of(gates(a), [&](node gate) { return std::ranges::find(gates(b), gate) != gates(b).end(); });
}

std::vector<const order_graph::edge*> order_graph::find_path(node from, node to, const edge& closing) {
    struct visit {
        const exits* at;
        node here;
        std::size_t next = 0;
    };
    std::vector<visit> stack;
    std::vector<const edge*> path;
    std::unordered_set<node> seen{from};
    auto enter = [&](node here) {
        auto at = nodes_.find(here);
        stack.push_back({at != nodes_.end() ? &at->second : nullptr, here});
    };
    enter(from);
    for (std::size_t looked_at = 0; !stack.empty() && looked_at < most_looked_at;) {
        visit& top = stack.back();
        if (top.at == nullptr || top.next == top.at->to.size() || stack.size() == longest_cycle) {
            seen.erase(top.here);  // another way to it may fit where this one did not
            stack.pop_back();
            if (!path.empty()) path.pop_back();
            continue;
        }
        node next = top.at->to[top.next++];
        ++looked_at;
        const edge& step = edges_.at(key(top.here, next));
        auto fits = [&](const edge* other) { return can_happen_together(*other, step); };
        if (!fits(&closing) || !std::ranges::all_of(path, fits)) continue;
        if (next != to && !seen.insert(next).second) continue;
        path.push_back(&step);
        if (next == to) return path;
        enter(next);
    }
    return {};
}

}  // namespace belay::detail
