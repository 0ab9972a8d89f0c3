// A task as a branch of its awaiter, through which a stop does not pass: however the work ended, the awaiter goes on and judges.
#pragma once

#include <belay/runtime/detail/branches.hpp>

#include <coroutine>
#include <cstdint>
#include <exception>
#include <utility>

namespace belay::detail {

/// What happens when the awaiter is asked to stop already: it stops here, as at every suspension; or the work is left out and
/// counts as stopped.
enum class if_stopped : std::uint8_t { stop, leave_out };

/// `co_await work`, then ended() and take(). A stop of an enclosing scope stops the work, is awaited, and then meets the awaiter
/// at its next suspension.
template <class T>
class [[nodiscard]] caught final : public branch_group, public native_awaitable {
public:
    caught(task<T>&& work, if_stopped before) noexcept : branch_{std::move(work)}, before_{before} {}

    static bool await_ready() noexcept { return false; }
    template <task_promise P>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<P> awaiting) noexcept {
        record& parent = *awaiting.promise().rec;
        open(parent);
        branch_.make(parent, *this, awaiting.promise().site);
        pending_.store(1, std::memory_order_relaxed);  // published with the branch
        if (before_ == if_stopped::stop) {
            if (!suspend_on(parent)) return std::noop_coroutine();
        } else {
            suspend_shielded(parent);
            if (parent.stop_asked()) {
                task_access::destroy(branch_.template get<0>().work);
                // False: a stopper is inside request_stop(), finds no work to stop, and queues the parent.
                if (complete_inline()) return awaiting;
                return std::noop_coroutine();
            }
        }
        return continue_in(branch_.template get<0>());
    }
    static void await_resume() noexcept {}

    [[nodiscard]] outcome ended() noexcept { return branch_.template get<0>().ended; }
    [[nodiscard]] stop_reason why() const noexcept { return node.reason.load(std::memory_order_relaxed); }
    T take() { return branch_.template get<0>().result.take(); }

    [[nodiscard]] const char* what() const noexcept override { return "awaited work"; }
    void waits_for(wait_sources& out) override { branch_.template get<0>().list_in(out); }

private:
    void add_children(stop_walk& walk) noexcept override { walk.add(branch_.template get<0>()); }
    record* branch_done(record&, std::size_t, outcome, const std::exception_ptr*) noexcept override {
        return finish(outcome::value);
    }
    branch_set<T> branch_;
    const if_stopped before_;
};

}  // namespace belay::detail
