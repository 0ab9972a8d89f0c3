// sleep_for and sleep_until.
#pragma once

#include <belay/runtime/detail/deadline.hpp>
#include <belay/runtime/detail/selection.hpp>
#include <belay/runtime/detail/timer_entry.hpp>
#include <belay/runtime/operation.hpp>

#include <chrono>
#include <coroutine>
#include <utility>

namespace belay {
namespace detail {

class [[nodiscard("belay: write co_await belay::sleep_for(...)")]] sleep_awaiter final : public claimable,
                                                                                         private timer_entry,
                                                                                         public native_awaitable {
public:
    explicit sleep_awaiter(deadline when) noexcept : when_{when} {}
    sleep_awaiter(sleep_awaiter&& other) noexcept : claimable(std::move(other)), when_{other.when_} {}

    static bool await_ready() noexcept { return false; }
    template <class P>
    bool await_suspend(std::coroutine_handle<P> awaiting) noexcept {
        static_assert(task_promise<P>, "belay: sleep_for can be awaited only inside a belay::task");
        prepare();
        return !suspend_on(*awaiting.promise().rec) || start();
    }
    static void await_resume() noexcept {}

    void request_stop(stop_walk&) noexcept override;
    [[nodiscard]] const char* what() const noexcept override { return "sleep"; }

    // ---- as an arm of select() ---------------------------------------------------------------------------------
    bool try_now() const noexcept { return when_.passed(); }
    admission start_waiting() noexcept;
    void withdraw(grant_list&) noexcept;

private:
    void prepare() noexcept;  // sets the home worker before a stopper can see the operation
    bool start() noexcept;
    void fire() noexcept override;
    deadline when_;
    bool stopped_early_ = false;  // guarded by the home's timer lock
};

}  // namespace detail

/// Awaitable: suspends for at least `d` (resolution about 65 us; never early). Zero and less: lets others run. On stop: ends
/// at once as stopped. O(1), no allocation, no system call.
template <class Rep, class Period>
detail::sleep_awaiter sleep_for(std::chrono::duration<Rep, Period> d) noexcept {
    return detail::sleep_awaiter{detail::deadline{d}};
}
/// Awaitable: as sleep_for, until a time of the steady clock.
template <class Duration>
detail::sleep_awaiter sleep_until(std::chrono::time_point<std::chrono::steady_clock, Duration> when) noexcept {
    return detail::sleep_awaiter{detail::deadline{when}};
}

}  // namespace belay
