#include <belay/runtime/retry.hpp>

#include <belay/runtime/detail/group.hpp>
#include <belay/runtime/this_task.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <stdexcept>

namespace belay::detail {

namespace {

/// Not std::random_device, which is a system call: that no two retries of a process, and no two processes, go in step is enough.
std::uint64_t own_seed(const void* self) noexcept {
    auto now = static_cast<std::uint64_t>(detail::now_ns());
    // In a simulation it follows from the run, and addresses do not.
    if (detail::this_thread_clock() != nullptr) return now ^ (this_task::id() << 48U);
    return now ^ (reinterpret_cast<std::uintptr_t>(self) << 16);
}

}  // namespace

void check_retry_policy(const retry_policy& policy) {
    auto require = [](bool holds, const char* what) {
        if (!holds) throw std::invalid_argument(what);
    };
    require(policy.attempts >= 1, "belay: retry_policy.attempts must be at least 1: it counts the first attempt");
    require(policy.first_delay.count() >= 0, "belay: retry_policy.first_delay must not be negative");
    require(std::isfinite(policy.factor) && policy.factor >= 1.0, "belay: retry_policy.factor must be a number of at least 1");
    require(policy.max_delay >= policy.first_delay, "belay: retry_policy.max_delay must be at least first_delay");
}

retry_pauses::retry_pauses(const retry_policy& policy) noexcept
    : policy_{policy},
      longest_ns_{static_cast<double>(policy.first_delay.count())},
      random_{policy.seed ? *policy.seed : own_seed(this)} {}

std::optional<std::chrono::nanoseconds> retry_pauses::after(const std::exception_ptr& error) {
    if (++failed_ >= policy_.attempts) return std::nullopt;
    if (policy_.retry_if ? !policy_.retry_if(error) : is_task_stopped(error)) return std::nullopt;
    auto pause = next();
    auto deadline = this_task::deadline();
    if (deadline && pause >= deadline->time_since_epoch() - std::chrono::nanoseconds{detail::now_ns()}) return std::nullopt;
    if (policy_.on_retry) policy_.on_retry(failed_, error, pause);
    return pause;
}

std::chrono::nanoseconds retry_pauses::next() noexcept {
    constexpr double two_to_53 = 9007199254740992.0;
    double fraction = static_cast<double>(random_.next() >> 11) / two_to_53;  // [0, 1)
    double most = static_cast<double>(policy_.max_delay.count());
    double pause = std::min(longest_ns_, most) * fraction;
    longest_ns_ = std::min(longest_ns_ * policy_.factor, most);
    // Below 2^63 also where `most` was rounded up to it: the fraction is at most 1 - 2^-53.
    return std::chrono::nanoseconds{static_cast<std::int64_t>(pause)};
}

}  // namespace belay::detail
