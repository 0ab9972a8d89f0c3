// What the watchdog finds in the list of stopped scopes.
#include <belay/runtime/detail/core.hpp>
#include <belay/runtime/detail/overdue_stop.hpp>
#include <belay/runtime/detail/snapshot.hpp>
#include <belay/runtime/scope.hpp>

#include <algorithm>

namespace belay {

/// Under the lock of the list of stopped scopes, so this one is not destroyed.
void scope::describe_overdue(detail::overdue_stop& out) noexcept {
    out.set_scope(options_.name);
    out.why = node.reason.load(std::memory_order_relaxed);
    out.total = size();
    auto add = [&](detail::record& rec) {
        task_snapshot& to = out.tasks[out.described++];
        if (detail::snapshot_unpinned(&rec, to)) return;
        to = {};
        to.id = rec.id;
        to.spawned = rec.spawn_site();
        to.waiting_on = "running or ready";
    };
    for_each_pinned(out.tasks.size() - 1, add);
    if ((pending_.load(std::memory_order_relaxed) & body_unit) == 0) return;
    ++out.total;
    add(*body_);
}

namespace detail {

bool runtime_core::take_overdue_stop(std::int64_t before_ns, overdue_stop& out) noexcept {
    auto due = [&](const stopped_scope& entry) {
        const auto& s = static_cast<const scope&>(entry);
        // relaxed: written before it was listed, under the lock.
        auto since_ns = s.stopped_at_ns_.load(std::memory_order_relaxed);
        auto cleanup_ns = s.node.cleanup_until_ns.load(std::memory_order_relaxed);
        bool ended = (s.pending_.load(std::memory_order_relaxed) & (scope::body_unit | (scope::body_unit - 1))) == 0;
        return !ended && std::max(since_ns, cleanup_ns) <= before_ns;
    };
    auto inside = [](const stopped_scope& inner, const stopped_scope& outer) {
        const stop_node* above = static_cast<const scope&>(inner).node.parent;
        while (above != nullptr && above != &static_cast<const scope&>(outer).node) above = above->parent;
        return above != nullptr;
    };
    return overdue.take(due, inside, [&](stopped_scope& entry) {
        auto& s = static_cast<scope&>(entry);
        out.since_ns = s.stopped_at_ns_.load(std::memory_order_relaxed);
        s.describe_overdue(out);
    });
}

}  // namespace detail
}  // namespace belay
