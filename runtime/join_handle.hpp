// What spawn returns. Dropping it changes nothing: the scope joins the task anyway and sees its error anyway. An error that the scope
// does not rethrow (on_error::isolate) is a lost one when the task has ended, its handle has gone and no join has taken it.
#pragma once

#include <belay/runtime/detail/spawned.hpp>

#include <coroutine>
#include <functional>
#include <optional>
#include <string_view>
#include <type_traits>
#include <utility>

namespace belay {
namespace detail {

/// What can be a member where a T can be returned.
template <class T>
using stored_t = std::conditional_t<std::is_reference_v<T>, std::reference_wrapper<std::remove_reference_t<T>>, T>;

template <class T, bool Optional>
class [[nodiscard]] join_awaiter final : public join_operation, public native_awaitable {
public:
    explicit join_awaiter(spawned_result<T>& child) noexcept : join_operation{child} {}
    join_awaiter(join_awaiter&&) = default;

    bool await_ready() noexcept {
        auto now = next_pace();
        was_ready_ = now != pace::stop && try_now();
        return was_ready_ && now == pace::go;
    }
    template <class P>
    bool await_suspend(std::coroutine_handle<P> awaiting) noexcept {
        static_assert(task_promise<P>, "belay: join can be awaited only inside a belay::task");
        if (was_ready_) {  // it has ended, but the budget is used up
            schedule_fair(*awaiting.promise().rec);
            return true;
        }
        return !suspend_on(*awaiting.promise().rec) || start();
    }
    decltype(auto) await_resume() {
        auto& child = static_cast<spawned_result<T>&>(*child_);
        child.set_seen();
        if constexpr (Optional) {
            using value = std::conditional_t<std::is_void_v<T>, bool, stored_t<T>>;
            if (child.how() == outcome::stopped) return std::optional<value>{};
            if constexpr (std::is_void_v<T>) {
                child.result.take();
                return std::optional<value>{true};
            } else {
                return std::optional<value>{child.result.take()};
            }
        } else {
            if (child.how() == outcome::stopped) throw task_stopped{child.why_stopped()};
            return child.result.take();
        }
    }

private:
    bool was_ready_ = false;
};

}  // namespace detail

/// A spawned task's result to come. Move-only; thread-safe like a pointer: its const functions may be called by many threads
/// while none moves, assigns or destroys it. May outlive the scope and the runtime.
template <class T = void>
class join_handle {
public:
    join_handle() = default;
    explicit join_handle(detail::spawned_result<T>& child) noexcept : child_{&child} {}
    join_handle(join_handle&& other) noexcept : child_{std::exchange(other.child_, nullptr)} {}
    join_handle& operator=(join_handle&& other) noexcept {
        std::swap(child_, other.child_);
        return *this;
    }
    ~join_handle() {
        if (child_ != nullptr) child_->release();
    }

    /// Empty when it was moved from, or when try_spawn found no room.
    [[nodiscard]] explicit operator bool() const noexcept { return child_ != nullptr; }
    [[nodiscard]] std::uint64_t id() const noexcept { return child_ != nullptr ? child_->id : 0; }
    /// What the task called itself (this_task::set_name); empty when it has no name.
    [[nodiscard]] std::string_view name() const noexcept {
        return child_ != nullptr ? detail::name_of(*child_) : std::string_view{};
    }
    /// Stops this task and everything below it; its siblings run on and the scope does not fail. A request: it returns at once,
    /// the task ends at its next suspension, and join() throws task_stopped with reason `requested` (unless its scope was
    /// stopped first). Any thread, inside a task or not, also after the scope and the runtime have gone. Idempotent; nothing
    /// happens to a task that has ended, nor on an empty handle. Linear in what is below the task; runs the callbacks of
    /// std::stop_tokens that were asked for there.
    void request_stop() const noexcept {
        if (child_ != nullptr) child_->request_stop();
    }
    /// True once it has ended and its frames are gone.
    [[nodiscard]] bool ended() const noexcept { return child_ != nullptr && child_->ended(); }

    /// Suspends until the task has ended. Returns its value (moved out: join once), rethrows its error, throws task_stopped
    /// if it was stopped. A stop of the joining task ends the wait, not the joined task. The handle must outlive the await.
    [[nodiscard]] auto join() noexcept BELAY_LIFETIMEBOUND { return detail::join_awaiter<T, false>{checked()}; }
    /// As join(), but empty if the task was stopped (for void: optional<bool>, true when it ended).
    [[nodiscard]] auto join_optional() noexcept BELAY_LIFETIMEBOUND { return detail::join_awaiter<T, true>{checked()}; }

private:
    detail::spawned_result<T>& checked() const noexcept {
        if (child_ == nullptr) detail::misuse("join() on an empty join_handle: it was moved from, or try_spawn found no room");
        return *child_;
    }
    detail::spawned_result<T>* child_ = nullptr;
};

}  // namespace belay
