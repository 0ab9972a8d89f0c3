#include <belay/runtime/detail/deadlock_search.hpp>

#include <belay/runtime/detail/child_record.hpp>
#include <belay/runtime/detail/snapshot.hpp>
#include <belay/runtime/scope.hpp>

#include <algorithm>
#include <iterator>
#include <span>

namespace belay::detail {
namespace {

constexpr std::size_t nodes_between_looks = 256;

constexpr bool hangs_below(wait_sources::kind what) noexcept {
    return what != wait_sources::kind::handle && what != wait_sources::kind::end;
}

/// A deadline further up need not be looked for: a task that awaits what is under it is under it itself, and what hangs below a task
/// that goes on is not looked at.
bool waits(const record& rec, std::uintptr_t word) noexcept {
    bool parked = word > record::completed && (word & (record::claimed_bit | record::released_bit)) == 0;
    return parked && !rec.stop_asked() && rec.node().deadline_ns == no_deadline;
}

constexpr auto by_from = [](const auto& a, const auto& b) { return a.from < b.from; };

}  // namespace

std::optional<deadlock_search::finding> deadlock_search::run(std::size_t most_tasks, const standstill* wanted) {
    if (pool_.outdated()) pool_ = pool_map{};
    core_.root->list_children(sources_, true);
    for (std::size_t i = 0; i < sources_.size(); ++i)
        nodes_.push_back({static_cast<const record*>(sources_[i].at), nobody, wait_sources::kind::child});
    for (index i = 0; i < nodes_.size(); ++i) {
        if (nodes_.size() > most_tasks || (i % nodes_between_looks == 0 && wanted != nullptr && wanted->is_in_the_way()))
            return std::nullopt;
        look_at(i);  // which adds those below it
    }
    std::ranges::sort(blocks_, {}, &block::begin);
    for (index i = 0; i < nodes_.size(); ++i) by_record_.emplace_back(nodes_[i].rec, i);
    std::ranges::sort(by_record_);
    for (index i = 0; i < nodes_.size(); ++i) find_edges(i);
    std::ranges::sort(wakes_, by_from);
    std::ranges::sort(helps_, by_from);
    spread();
    bool all_wait = std::ranges::all_of(nodes_, [](const node& n) {
        return n.goes_on || (n.rec->slot.load(std::memory_order_seq_cst) == n.word && !n.rec->stop_asked());
    });
    if (!all_wait) return std::nullopt;
    return found();
}

void deadlock_search::look_at(index i) {
    const record& rec = *nodes_[i].rec;
    auto word = rec.slot.load(std::memory_order_acquire);  // pairs with suspend_on(): the operation is visible
    nodes_[i].word = word;
    std::size_t first = nodes_[i].first = nodes_[i].last = sources_.begin();
    if (!waits(rec, word)) return let_go_on(i);
    reinterpret_cast<operation*>(word)->waits_for(sources_);
    std::size_t count = sources_.size() - first;
    if (sources_.is_outside() || count == 0) {
        sources_.forget(first);
        return let_go_on(i);
    }
    nodes_[i].last = sources_.size();
    nodes_[i].missing = sources_.needs_all() ? count : 1;
    nodes_[i].is_race = !sources_.needs_all();
    nodes_[i].first_below = static_cast<index>(nodes_.size());
    for (std::size_t s = first; s < sources_.size(); ++s)
        if (hangs_below(sources_[s].what)) nodes_.push_back({static_cast<const record*>(sources_[s].at), i, sources_[s].what});
    nodes_[i].last_below = static_cast<index>(nodes_.size());
    add_blocks(i);
}

/// Of a task that waits: only those matter.
void deadlock_search::add_blocks(index i) {
    const node& n = nodes_[i];
    auto add = [&](const void* at, std::size_t bytes) {
        auto begin = reinterpret_cast<std::uintptr_t>(at);
        if (bytes != 0) blocks_.push_back({begin, begin + bytes, i});
    };
    for (promise_base* frame = n.rec->leaf; frame != nullptr; frame = frame->parent) {
        const void* at = frame->handle().address();
        add(at, pool_.extent(at));
    }
    if (n.part == wait_sources::kind::child) add(n.rec, static_cast<const child_record*>(n.rec)->footprint());
}

void deadlock_search::find_edges(index i) {
    const node& n = nodes_[i];
    for (std::size_t s = n.first; s < n.last; ++s) {
        bool is_handle = sources_[s].what == wait_sources::kind::handle;
        index from = is_handle ? owner_of(sources_[s].at) : find(sources_[s].at);
        if (from == nobody) return let_go_on(i);  // somebody else has it
        (is_handle ? helps_ : wakes_).push_back({is_handle ? uppermost_user(from) : from, i});
    }
}

/// The task below which everybody is that may use what is in this one's frames: the task itself, but for the body of a scope, whose
/// locals its children may refer to, and what the body runs as branches (a shield, a when_all) belongs to the body.
deadlock_search::index deadlock_search::uppermost_user(index owner) const noexcept {
    index top = owner;
    while (nodes_[top].part == wait_sources::kind::branch) top = nodes_[top].above;
    return nodes_[top].part == wait_sources::kind::body ? nodes_[top].above : owner;
}

void deadlock_search::let_go_on(index i) {
    if (std::exchange(nodes_[i].goes_on, true)) return;
    news_.push_back(i);
    if (!nodes_[i].is_race) return;
    // It stops those that lost, and all below them. Tasks that hang below each other lie behind each other in nodes_.
    std::vector<std::pair<index, index>> stopped{{nodes_[i].first_below, nodes_[i].last_below}};
    while (!stopped.empty()) {
        auto [first, last] = stopped.back();
        stopped.pop_back();
        for (index b = first; b < last; ++b) {
            if (!std::exchange(nodes_[b].goes_on, true)) news_.push_back(b);
            if (nodes_[b].first_below != nodes_[b].last_below) stopped.emplace_back(nodes_[b].first_below, nodes_[b].last_below);
        }
    }
}

void deadlock_search::spread() {
    auto each = [](const std::vector<edge>& edges, index from, auto f) {
        auto [begin, end] = std::ranges::equal_range(edges, from, {}, &edge::from);
        for (auto e = begin; e != end; ++e) f(e->to);
    };
    while (!news_.empty()) {
        index i = news_.back();
        news_.pop_back();
        each(wakes_, i, [&](index to) {
            if (nodes_[to].missing != 0 && --nodes_[to].missing == 0) let_go_on(to);
        });
        for (index a = i; a != nobody && !std::exchange(nodes_[a].one_below_goes_on, true); a = nodes_[a].above)
            each(helps_, a, [&](index to) { let_go_on(to); });
    }
}

/// Whose object it is.
deadlock_search::index deadlock_search::owner_of(const void* object) const noexcept {
    auto at = reinterpret_cast<std::uintptr_t>(object);
    auto after = std::ranges::upper_bound(blocks_, at, {}, &block::begin);
    if (after == blocks_.begin() || at >= std::prev(after)->end) return nobody;
    return std::prev(after)->owner;
}

deadlock_search::index deadlock_search::find(const void* rec) const noexcept {
    auto at = std::ranges::lower_bound(by_record_, rec, {}, &std::pair<const void*, index>::first);
    return at != by_record_.end() && at->first == rec ? at->second : nobody;
}

deadlock_search::finding deadlock_search::found() const {
    finding out;
    std::vector<const node*> stuck;
    std::vector<std::uint64_t> behind;
    for (const node& n : nodes_) {
        if (n.goes_on) continue;
        n.first_below != n.last_below ? behind.push_back(n.rec->id) : stuck.push_back(&n);
    }
    std::ranges::sort(stuck, {}, [](const node* n) { return n->rec->id; });
    for (const node* n : stuck) {
        out.ids.push_back(n->rec->id);
        if (out.tasks.size() < most_described) out.tasks.push_back(describe(*n));
    }
    // Branches, a body and the task that awaits them have one id.
    out.ids.erase(std::ranges::unique(out.ids).begin(), out.ids.end());
    std::ranges::sort(behind);
    behind.erase(std::ranges::unique(behind).begin(), behind.end());
    out.behind = static_cast<std::size_t>(
        std::ranges::count_if(behind, [&](std::uint64_t id) { return !std::ranges::binary_search(out.ids, id); }));
    return out;
}

stuck_task deadlock_search::describe(const node& n) const {
    stuck_task out;
    snapshot_record(*n.rec, out.task);
    auto add = [&](std::uint64_t id) {
        auto known = std::span{out.holders}.first(std::min(out.holder_count, out.holders.size()));
        if (std::ranges::find(known, id) != known.end()) return;
        if (out.holder_count < out.holders.size()) out.holders[out.holder_count] = id;
        ++out.holder_count;
    };
    for (std::size_t s = n.first; s < n.last; ++s) {
        bool is_handle = sources_[s].what == wait_sources::kind::handle;
        auto id = nodes_[is_handle ? owner_of(sources_[s].at) : find(sources_[s].at)].rec->id;
        if (id != n.rec->id) add(id);  // its own end of a channel helps it no more than itself
    }
    if (out.holder_count == 0) add(n.rec->id);
    return out;
}

}  // namespace belay::detail
