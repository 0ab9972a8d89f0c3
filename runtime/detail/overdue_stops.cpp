// What the watchdog finds in the list of stopped scopes.
#include <belay/runtime/detail/core.hpp>
#include <belay/runtime/detail/lost_time.hpp>
#include <belay/runtime/detail/overdue_stop.hpp>
#include <belay/runtime/detail/snapshot.hpp>
#include <belay/runtime/detail/task_list.hpp>
#include <belay/runtime/detail/worker.hpp>
#include <belay/runtime/scope.hpp>

#include <algorithm>
#include <cstddef>
#include <source_location>

namespace belay {
namespace {

/// Where the user's code awaits what `parent` is suspended on: the scope, or the timeout or map that has opened it.
std::source_location awaited_by(const detail::record* parent) noexcept {
    task_snapshot waiting;
    if (parent == nullptr || !detail::snapshot_unpinned(parent, waiting)) return {};
    for (std::size_t i = 0; i < waiting.depth; ++i)
        if (!detail::is_own_code(waiting.stack[i])) return waiting.stack[i];
    return waiting.spawned;  // of the body of a timeout in a timeout: where that is awaited
}

/// Those of a task that waits, below those of its branch.
void add_frames(task_snapshot& branch, const task_snapshot& waiting) noexcept {
    for (std::size_t i = 0; i < waiting.depth && !branch.cut; ++i) {
        branch.cut = branch.depth == task_snapshot::max_frames;
        if (!branch.cut) branch.stack[branch.depth++] = waiting.stack[i];
    }
    branch.cut = branch.cut || waiting.cut;
}

/// What a worker runs, if that is one of these tasks or a branch of one. A branch, as of a when_all, goes by the id of its task, as does
/// the scope's body: what is not below the scope is another branch of the task that waits for the scope. While a branch runs its task
/// waits for it, so what is read of the two is of one time.
void name_running(detail::overdue_stop& out, const detail::stop_node& node, const detail::worker& w) noexcept {
    auto epoch = w.epoch();
    const detail::record* rec = w.current();
    task_snapshot runs;
    if ((epoch & 1U) == 0 || rec == nullptr || !detail::snapshot_running(w, epoch, runs)) return;
    for (std::size_t i = 0; i < out.described; ++i) {
        task_snapshot& task = out.tasks[i];
        if (task.id != runs.id || task.worker >= 0) continue;
        task_snapshot waiting;
        bool is_branch = rec != out.records[i];
        bool joins = is_branch && detail::snapshot_unpinned(out.records[i], waiting) && waiting.id == runs.id;
        if (!detail::is_running_below(w, epoch, rec, node)) return;
        if (joins) add_frames(runs, waiting);
        task.stack = runs.stack;
        task.depth = runs.depth;
        task.cut = runs.cut;
        task.waiting_on = runs.waiting_on;
        task.worker = static_cast<int>(w.index());
        return;
    }
}

}  // namespace

/// Under the lock of the list of stopped scopes, so this one is not destroyed.
void scope::describe_overdue(detail::overdue_stop& out) noexcept {
    out.set_scope(options_.name);
    out.why = node.reason.load(std::memory_order_relaxed);
    out.total = size();
    // The frame that holds the scope is there, and so is its task.
    out.awaited = awaited_by(detail::read_owner(*this));
    auto add = [&](const detail::record* rec) {
        out.records[out.described] = rec;
        task_snapshot& to = out.tasks[out.described++];
        if (!detail::snapshot_unpinned(rec, to)) detail::name_unpinned(rec, to);
    };
    for_each_pinned(out.tasks.size() - 1, [&](const detail::record& child) { add(&child); });
    if ((pending_.load(std::memory_order_relaxed) & body_unit) == 0) return;
    ++out.total;
    add(body_);  // which may end at any moment, and be no more: it is read as a debugger would
}

namespace detail {

bool runtime_core::take_overdue_stop(std::int64_t before_ns, const lost_time& lost, overdue_stop& out) noexcept {
    auto due = [&](const stopped_scope& entry) {
        const auto& s = static_cast<const scope&>(entry);
        // relaxed: written before it was listed, under the lock.
        auto since_ns = s.stopped_at_ns_.load(std::memory_order_relaxed);
        auto cleanup_ns = s.node.cleanup_until_ns.load(std::memory_order_relaxed);
        bool ended = (s.pending_.load(std::memory_order_relaxed) & (scope::body_unit | (scope::body_unit - 1))) == 0;
        auto begin_ns = std::max(since_ns, cleanup_ns);
        return !ended && begin_ns + lost.since(begin_ns) <= before_ns;
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
        for (const auto& w : workers) name_running(out, s.node, *w);
    });
}

}  // namespace detail
}  // namespace belay
