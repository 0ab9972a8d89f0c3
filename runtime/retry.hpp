// retry: does something again when it failed, with pauses that grow and are spread by chance.
//
//     auto page = co_await belay::retry({.attempts = 5, .retry_if = belay::error_is<std::system_error>},
//                                       [&] { return belay::timeout(1s, fetch(url)); });
#pragma once

#include <belay/runtime/as_task.hpp>
#include <belay/runtime/detail/seeded_random.hpp>
#include <belay/runtime/sleep.hpp>

#include <chrono>
#include <concepts>
#include <cstdint>
#include <exception>
#include <functional>
#include <optional>
#include <type_traits>
#include <utility>

namespace belay {

/// Aggregate with defaults, for designated initialisers. Validated by retry().
struct retry_policy {
    unsigned attempts = 3;                              ///< in all, the first one included; at least 1
    std::chrono::nanoseconds first_delay =
        std::chrono::milliseconds{100};  ///< the longest pause after the first failure; 0 or more
    double factor = 2.0;                                ///< by which the longest pause grows with each failure; 1 or more
    std::chrono::nanoseconds max_delay = std::chrono::seconds{10};          ///< it grows no further; at least first_delay
    /// Which errors are worth another attempt. Empty: all but task_stopped. What it throws is thrown by retry.
    std::function<bool(const std::exception_ptr&)> retry_if{};
    /// Told before each pause which attempt (from 1) failed, how, and how long the pause is: for logs, since the error goes no
    /// further. What it throws is thrown by retry.
    std::function<void(unsigned attempt, const std::exception_ptr& error, std::chrono::nanoseconds pause)> on_retry{};
    std::optional<std::uint64_t> seed{};  ///< of the pauses, for tests; by default every retry has its own
};

/// For retry_policy::retry_if: the error is one of these types, or derived from one.
template <class... Errors>
bool error_is(const std::exception_ptr& error) {
    auto is_a = [&]<class E>(std::type_identity<E>) {
        try {
            std::rethrow_exception(error);
        } catch (const E&) {
            return true;
        } catch (...) {
            return false;
        }
    };
    return (is_a(std::type_identity<Errors>{}) || ...);
}

namespace detail {

void check_retry_policy(const retry_policy& policy);

/// The pauses of one retry: after the k-th failure between nothing and first_delay * factor^(k-1), all equally likely, so that those
/// who failed together do not come back together.
class retry_pauses {
public:
    explicit retry_pauses(const retry_policy& policy) noexcept;
    /// Empty: give up. Only inside a task.
    std::optional<std::chrono::nanoseconds> after(const std::exception_ptr& error);

private:
    std::chrono::nanoseconds next() noexcept;
    const retry_policy& policy_;
    double longest_ns_;
    seeded_random random_;
    unsigned failed_ = 0;
};

template <class T, class F>
task<T> run_with_retries(retry_policy policy, F f) {
    retry_pauses pauses{policy};
    for (;;) {
        std::exception_ptr error;
        try {
            co_return co_await std::invoke(f);
        } catch (...) {
            error = std::current_exception();
        }
        auto pause = pauses.after(error);
        if (!pause) std::rethrow_exception(error);
        co_await sleep_for(*pause);
    }
}

}  // namespace detail

/// Awaits f() until it succeeds and returns its value. f returns a task or any other awaitable, a new one each time; it is moved into
/// the returned task and lives until that ends. The last error is rethrown after policy.attempts failures, when retry_if says no,
/// and when the pause would pass the deadline of the enclosing scope or timeout: nothing could come of waiting for that.
/// Throws std::invalid_argument at the call, naming the field of the policy that is wrong.
/// On stop: ends at once, in f() or in a pause. Allocates nothing but the frames, beside what the policy's functions hold.
template <class F>
auto retry(retry_policy policy, F f) {
    static_assert(std::invocable<F&>, "belay: retry calls f() for every attempt: write [&] { return fetch(url); }");
    if constexpr (std::invocable<F&>) {
        using awaitable = std::invoke_result_t<F&>;
        static_assert(!std::is_void_v<awaitable>, "belay: retry needs an f that returns belay::task<T> or another awaitable");
        if constexpr (!std::is_void_v<awaitable>) {
            detail::check_retry_policy(policy);
            return detail::run_with_retries<typename task_of_t<awaitable>::value_type, F>(std::move(policy), std::move(f));
        }
    }
}

}  // namespace belay
