#include <belay/runtime/detail/selection.hpp>

#include <belay/runtime/detail/worker.hpp>

namespace belay::detail {

std::uint32_t random_here() noexcept { return this_worker()->random(); }

bool selection::try_win(word who) noexcept {
    auto seen = word_.load(std::memory_order_relaxed);
    while (winner_of(seen) == nobody) {
        // relaxed: it only has to be one step. What the winner is given is published by granted().
        if (word_.compare_exchange_weak(seen, seen | who | deciding, std::memory_order_relaxed)) return true;
    }
    return false;
}

bool selection::claim(unsigned arm) noexcept { return try_win(arm + 1); }

void selection::granted() noexcept {
    grant_list more;
    granted(more);
    while (selection* next = more.pop()) next->granted(more);
}

void selection::granted(grant_list& more) noexcept {
    // acq_rel, pairs with registered(): whoever settles sees all registered arms, and what the winner was given.
    auto before = word_.fetch_and(~deciding, std::memory_order_acq_rel);
    if ((before & registering) == 0 && settle(winner_of(before), more)) finish_as(winner_of(before));
}

bool selection::registered() noexcept {
    // acq_rel, pairs with granted().
    auto before = word_.fetch_and(~registering, std::memory_order_acq_rel);
    auto won = winner_of(before);
    if (won == nobody || (before & deciding) != 0) return true;  // the winner's thread settles
    grant_list more;
    bool ended = settle(won, more);
    while (selection* next = more.pop()) next->granted(more);
    if (!ended) return true;  // a timer completes it
    if (won != the_stop) return !complete_inline();
    complete(outcome::stopped);
    return true;
}

/// True: nobody looks at an arm any more. False: a timer that was under way does, and will complete the operation, which may be
/// gone when this returns.
bool selection::settle(word winner, grant_list& more) noexcept {
    withdraw_losers(winner - 1, more);
    // acquire, pairs with timer_fired(): a timer that has lost and gone is done with its arm.
    if (timers_of(word_.load(std::memory_order_acquire)) == 0) return true;
    // acq_rel, pairs with timer_fired(): what the winner was given is visible to the timer that completes.
    return timers_of(word_.fetch_or(settled, std::memory_order_acq_rel)) == 0;
}

void selection::finish_as(word winner) noexcept { complete(winner == the_stop ? outcome::stopped : outcome::value); }

void selection::timer_fired(unsigned arm) noexcept {
    if (claim(arm)) {
        // acq_rel, pairs with registered(), as in granted(). Its own unit goes in the same step.
        auto before = word_.fetch_sub(timer_unit | deciding, std::memory_order_acq_rel);
        if ((before & registering) != 0) return;
        grant_list more;
        if (settle(arm + 1, more)) complete_fair(outcome::value);
        while (selection* next = more.pop()) next->granted(more);
        return;
    }
    // acq_rel, pairs with settle().
    auto before = word_.fetch_sub(timer_unit, std::memory_order_acq_rel);
    if ((before & settled) != 0 && timers_of(before) == 1) finish_as(winner_of(before));
}

void selection::request_stop(stop_walk&) noexcept {
    if (try_win(the_stop)) granted();
}

}  // namespace belay::detail
