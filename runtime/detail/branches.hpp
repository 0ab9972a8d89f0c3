// A fixed set of branches that run concurrently inside the awaiter of their parent: when_all and when_any. Nothing is
// allocated beyond the branches' own frames.
#pragma once

#include <belay/runtime/as_task.hpp>
#include <belay/runtime/detail/group.hpp>
#include <belay/runtime/detail/result_slot.hpp>
#include <belay/runtime/detail/wait_sources.hpp>

#include <atomic>
#include <cstddef>
#include <exception>
#include <tuple>
#include <utility>

namespace belay::detail {

class branch_group : public group {
public:
    /// A branch has ended, with `error` if that is how. Returns the parent if it was the last one and nobody else will resume it.
    virtual record* branch_done(record& branch, std::size_t index, outcome how, const std::exception_ptr* error) noexcept = 0;

protected:
    ~branch_group() = default;
    /// acq_rel: the last branch sees what the others wrote.
    bool last_branch() noexcept { return pending_.fetch_sub(1, std::memory_order_acq_rel) == 1; }
    std::atomic<std::size_t> pending_{0};
};

template <class T>
class branch final : public record {
public:
    branch(runtime_core& core, branch_group& g, std::source_location site, task<T>&& t, std::size_t index) noexcept
        : record{core, g.node, site}, work{std::move(t)}, group_{g}, index_{index} {
        task_access::make_root(work, *this);
    }
    record* on_done(outcome how) noexcept override {
        // The frame goes now, not with the awaiter: its parameters may be what another branch waits for (a channel's sender).
        if (how != outcome::stopped && !result.take_from(task_access::result(work))) how = outcome::error;
        task_access::destroy(work);
        ended = how;
        finished = true;
        return group_.branch_done(*this, index_, how, how == outcome::error ? &result.error() : nullptr);
    }
    task<T> work;
    result_slot<T> result;
    /// For the operation that awaits it, see operation::waits_for().
    void list_in(wait_sources& out) const {
        if (!finished) out.below(*this, wait_sources::kind::branch);
    }
    outcome ended = outcome::stopped;
    bool finished = false;

private:
    branch_group& group_;
    std::size_t index_;
};

/// Storage for branches that can only be made when the parent's record is known, at the await.
template <class... Ts>
class branch_set {
public:
    explicit branch_set(task<Ts>&&... tasks) : tasks_{std::move(tasks)...} {}
    branch_set(branch_set&&) = default;
    branch_set(const branch_set&) = delete;
    branch_set& operator=(branch_set&&) = delete;
    ~branch_set() {
        if (made_) each([](auto& b) { std::destroy_at(&b); });
    }

    void make(record& parent, branch_group& g, std::source_location site) noexcept {
        make_all(parent, g, site, std::index_sequence_for<Ts...>{});
        made_ = true;
    }
    template <std::size_t I>
    auto& get() noexcept {
        return std::get<I>(slots_).branch;
    }
    template <class F>
    void each(F&& f) {
        std::apply([&](auto&... slots) { (f(slots.branch), ...); }, slots_);
    }

private:
    template <class T>
    union slot {
        slot() noexcept {}
        slot(slot&&) noexcept {}  // only moved before make()
        ~slot() {}
        detail::branch<T> branch;
    };
    template <std::size_t... I>
    void make_all(record& parent, branch_group& g, std::source_location site, std::index_sequence<I...>) noexcept {
        ((std::construct_at(&std::get<I>(slots_).branch, parent.core(), g, site, std::move(std::get<I>(tasks_)), I),
          belongs_to(std::get<I>(slots_).branch, parent)),
         ...);
    }
    std::tuple<task<Ts>...> tasks_;
    std::tuple<slot<Ts>...> slots_;
    bool made_ = false;
};

}  // namespace belay::detail
