// The record of a spawned task: linked into its scope's registry, reference-counted by the scope and the join handle.
#pragma once

#include <belay/runtime/detail/group.hpp>
#include <belay/runtime/detail/selection.hpp>
#include <belay/runtime/detail/spin_lock.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <string>
#include <string_view>

namespace belay {
class scope;
}

namespace belay::detail {

class join_operation;

class child_record : public record {
public:
    child_record(scope& parent, std::source_location site) noexcept;

    /// Frees the memory. When the last reference has gone.
    virtual void destroy_self() noexcept = 0;
    /// Bytes from its beginning on that belong to the task: what it was spawned with. 0: it is not known.
    [[nodiscard]] virtual std::size_t footprint() const noexcept { return 0; }
    void release() noexcept {
        // acq_rel: the last release sees what the other side did to the record.
        if (refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) destroy_self();
    }
    /// acquire, pairs with the release in scope::child_ended(): the result is visible.
    [[nodiscard]] bool ended() const noexcept { return ended_.load(std::memory_order_acquire); }
    /// Stops this task and all below it. Any thread that holds a reference.
    void request_stop() noexcept;
    /// How it ended; only when ended().
    [[nodiscard]] outcome how() const noexcept { return how_; }
    /// Its result is about to be taken, by the one who may join it.
    void set_seen() noexcept {
        if (unseen_error_) [[unlikely]]
            forget_unseen();
    }

protected:
    ~child_record() = default;
    /// Everything of the task's own is destroyed: unlinks, applies the scope's policy, wakes the joiner, gives up the scope's
    /// reference. Returns the scope's parent if this was the last child.
    record* end_child(outcome how, const std::exception_ptr* error) noexcept;
    [[nodiscard]] scope& parent_scope() const noexcept { return *scope_; }
    /// The record goes: if nobody has seen the error that it ended with, nobody will.
    void report_if_unseen(const std::exception_ptr& error) noexcept {
        if (unseen_error_) [[unlikely]]
            report_unseen(error);
    }

    scope* scope_;

private:
    friend class belay::scope;
    friend class join_operation;
    void report_unseen(const std::exception_ptr& error) noexcept;
    void keep_scope_name(std::string_view name) noexcept;
    void forget_unseen() noexcept;
    union {
        child_record* prev_ = nullptr;  // while it is in its scope's list
        const std::string* scope_name_;  // afterwards, if unseen_error_: a copy; null when there was no memory for it
    };
    child_record* next_sibling_ = nullptr;
    join_operation* joiner_ = nullptr;  // guarded by join_lock_, as are all changes of ended_
    spin_lock join_lock_;
    std::atomic<bool> ended_{false};
    std::atomic<std::uint16_t> refs_{2};  // the scope's and the handle's
    std::uint16_t shard_ = 0;
    outcome how_ = outcome::stopped;

protected:
    // Two bits, because a record's size is promised. Nobody asks for has_root_ once unseen_error_ is written.
    bool has_root_ : 1 = false;  // the derived class's
    bool unseen_error_ : 1 = false;  // its scope does not rethrow it. Written before ended_ is set, then by the joiner
};

/// Waits for a child to end.
class join_operation : public claimable {
public:
    explicit join_operation(child_record& child) noexcept : child_{&child} {}
    join_operation(join_operation&& other) noexcept : claimable(std::move(other)), child_{other.child_} {}
    void request_stop(stop_walk&) noexcept override;
    [[nodiscard]] const char* what() const noexcept override { return "join"; }
    void waits_for(wait_sources& out) override;

    // ---- as an arm of select() ---------------------------------------------------------------------------------
    bool try_now() const noexcept { return child_->ended(); }
    admission start_waiting() noexcept;
    void withdraw(grant_list&) noexcept;

protected:
    ~join_operation() = default;
    bool start() noexcept;
    child_record* child_;

private:
    friend class belay::scope;
    bool stopped_early_ = false;  // guarded by the child's join_lock_
};

}  // namespace belay::detail
