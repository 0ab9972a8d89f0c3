#include <belay/runtime/detail/wake_cost.hpp>

#include <belay/runtime/detail/core.hpp>

#include <sys/prctl.h>
#include <time.h>

#include <algorithm>
#include <array>

namespace belay::detail {
namespace {

// A timer is an event without a sender: how late this thread runs after it has fired is what a sleep costs, under any
// affinity and with nobody to synchronise with.
std::int64_t measure() noexcept {
    int slack = ::prctl(PR_GET_TIMERSLACK);
    ::prctl(PR_SET_TIMERSLACK, 1UL);
    std::array<std::int64_t, 5> late{};
    constexpr std::int64_t asleep_ns = 100'000;  // long enough for the CPU to go idle
    for (auto& sample : late) {
        std::int64_t due = now_ns() + asleep_ns;
        timespec until{due / 1'000'000'000, due % 1'000'000'000};
        ::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr);
        sample = now_ns() - due;
    }
    if (slack > 0) ::prctl(PR_SET_TIMERSLACK, static_cast<unsigned long>(slack));
    // Not the median: on a busy machine most samples include the wait for a CPU.
    std::nth_element(late.begin(), late.begin() + 1, late.end());
    return std::clamp(2 * late[1], shortest_spin_ns, longest_spin_ns);
}

}  // namespace

std::int64_t calibrated_spin_ns() noexcept {
    static const std::int64_t measured = measure();
    return measured;
}

}  // namespace belay::detail
