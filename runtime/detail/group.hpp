// What a task waits on when it waits for other tasks: the branches of a when_all, the children of a scope. A group is an
// operation of the parent and a stop node for the children, so a stop reaches them through the parent's slot.
#pragma once

#include <belay/runtime/detail/stop_walk.hpp>
#include <belay/runtime/task.hpp>

#include <atomic>
#include <cstdint>

namespace belay::detail {

class group : public operation {
public:
    group() = default;
    group(group&&) = delete;

    stop_node node;

    /// An enclosing scope was stopped. The children are claimed while the parent is claimed, which keeps this alive.
    void request_stop(stop_walk& walk) noexcept final { stop_from_above(walk); }

    /// Stops the children for a reason of the group's own. Any thread that keeps the group alive: a child that has not
    /// ended yet, the deadline timer, or the parent. True if this call was the first to stop it.
    bool stop_children(stop_reason why) noexcept {
        stop_walk walk;
        if (!mark(walk, why)) return false;
        walk.run();
        return true;
    }

protected:
    ~group() = default;
    virtual void stop_from_above(stop_walk& walk) noexcept {
        auto above = node.parent->reason.load(std::memory_order_relaxed);  // only names the reason
        bool keep = above == stop_reason::shutdown || above == stop_reason::cleanup_overrun;
        mark(walk, keep ? above : stop_reason::parent);
    }
    /// True for the caller that turned it from running to stopped.
    bool mark(stop_walk& walk, stop_reason why) noexcept {
        if (!node.mark(why)) return false;
        walk.add_tokens_of(node);
        add_children(walk);
        return true;
    }
    virtual void add_children(stop_walk& walk) noexcept = 0;

    void open(record& parent) noexcept {
        node.parent = &parent.node();
        node.deadline_ns = parent.node().deadline_ns;
        node.shield = parent.node().shield;
    }
    /// Only once it is published: the task that awaits the group is to stop.
    [[nodiscard]] bool enclosing_stopped() const noexcept { return owner()->stop_asked(); }
};

/// An error that has no one to go to: counted and reported with the spawn site.
void report_lost_error(runtime_core& core, std::string_view scope, std::source_location spawned,
                       const std::exception_ptr& error) noexcept;
/// Queues a record that the current task forked: newest first here, oldest first for thieves.
void fork(record& rec) noexcept;
/// The record that the current task continues in, inline. Only from await_suspend on a worker.
std::coroutine_handle<> continue_in(record& rec) noexcept;
/// True if `error` is a task_stopped.
bool is_task_stopped(const std::exception_ptr& error) noexcept;

}  // namespace belay::detail
