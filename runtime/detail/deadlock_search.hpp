// Finds tasks that can never go on: what each waits for could only be done by others that wait likewise.
#pragma once

#include <belay/runtime/detail/core.hpp>
#include <belay/runtime/detail/frame_pool.hpp>
#include <belay/runtime/detail/standstill.hpp>
#include <belay/runtime/detail/wait_sources.hpp>
#include <belay/runtime/observer.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

namespace belay::detail {

/// Every operation names what could end it, see wait_sources. That is a task, or an object: the sender of a channel, the guard of a
/// mutex. An object whose address lies in the frame of a task that waits, or in what that was spawned with, can be used by this task,
/// and by the tasks below it, which may refer to it; anything else (the heap, a global, a thread's stack) can be used by somebody we
/// do not see. So a task goes on if it does not wait, if it waits for something outside, if it has a deadline or is being stopped,
/// or if a task that goes on could end its wait. What is left when nothing more follows can be woken by a stop alone. No finding is a
/// guess, as long as references to the objects of a frame go down to its own children, and to no thread or callback; some deadlocks
/// are not found.
///
/// What other threads do meanwhile cannot mislead it. Since no task runs, one that still waits at the end has waited all the time,
/// and its frames have not changed: nobody who had a handle that was not there any more when we looked had used it before.
///
/// Linear in tasks, frames and objects, but for sorting. The idea, without a garbage collector, is that of Go's experimental
/// goroutine leak profile, which asks reachability of its collector.
class deadlock_search {
public:
    static constexpr std::size_t most_described = 16;
    struct finding {
        std::vector<stuck_task> tasks;  // the first of those that wait for each other, by their ids
        std::vector<std::uint64_t> ids;  // of all of them
        std::size_t behind = 0;  // further tasks, that only wait for those to end
    };

    explicit deadlock_search(runtime_core& core) noexcept : core_{core} {}
    /// During a standstill, once. Nothing if it was given up: there are more tasks, what was found has changed meanwhile, or `wanted`
    /// is in the way of somebody. Throws std::bad_alloc.
    std::optional<finding> run(std::size_t most_tasks, const standstill* wanted = nullptr);

private:
    using index = std::uint32_t;
    static constexpr index nobody = static_cast<index>(-1);
    struct node {
        const record* rec;
        index above;  // the task below which it hangs
        wait_sources::kind part;  // what it is for that one
        std::uintptr_t word = 0;  // of its slot
        std::size_t first = 0;  // its sources
        std::size_t last = 0;
        index first_below = 0;  // those that hang below it
        index last_below = 0;
        std::size_t missing = 0;  // sources that it still needs to go on
        bool goes_on = false;
        bool one_below_goes_on = false;  // itself, or a task below it
        bool is_race = false;  // any of its sources is enough
    };
    struct block {
        std::uintptr_t begin;
        std::uintptr_t end;
        index owner;
    };
    struct edge {
        index from;
        index to;
    };

    void look_at(index i);
    void add_blocks(index i);
    void find_edges(index i);
    void let_go_on(index i);
    void spread();
    [[nodiscard]] index uppermost_user(index owner) const noexcept;
    [[nodiscard]] index owner_of(const void* object) const noexcept;
    [[nodiscard]] index find(const void* rec) const noexcept;
    [[nodiscard]] finding found() const;
    [[nodiscard]] stuck_task describe(const node& n) const;

    runtime_core& core_;
    pool_map pool_;
    wait_sources sources_;
    std::vector<node> nodes_;
    std::vector<block> blocks_;  // sorted by their beginning, once all are there
    std::vector<std::pair<const void*, index>> by_record_;  // sorted
    std::vector<edge> wakes_;  // `to` may go on when `from` does
    std::vector<edge> helps_;  // `to` may go on when `from` or a task below it does
    std::vector<index> news_;
};

}  // namespace belay::detail
