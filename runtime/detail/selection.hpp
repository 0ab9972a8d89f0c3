// One operation that waits with several sources and is served by exactly one of them: the claim word behind belay::select.
//
// An *arm* is what would be the waiter if its operation stood alone: a place in a channel's queue, a timer. Every source decides
// under its own lock whom it serves, and asks that waiter for its claim before it moves a message or hands anything over. An
// ordinary waiter always says yes. An arm says yes if its select has no winner yet; when it says no, the source unlinks it and
// goes on to the next, as if it were not there.
//
//             claim(i), or             granted(): the source                  settle(): every loser
//             request_stop()           has released its lock                  is out of its source
//     open --------------------> won by i ---------------------> won by i ---------------------------> complete()
//                                deciding                           |
//                                                                   +-- while `registering`: left to the task itself
//
// - The winner is set once, by compare-and-swap: an arm or the stop.
// - `deciding`: the winner's source still writes to its arm (the message), so nobody may let the task go on.
// - `registering`: the task is still adding arms in await_suspend. Of the two bits the one that is cleared last decides who
//   settles: the winner's thread, or the task, which then goes on without having suspended.
//
// No lost wake-up. An arm is linked only when its source has nothing for it, under the lock under which the source looks for
// waiters: one sees the other. A claim that fails has taken nothing, and its source serves the next waiter, or keeps what it
// has for the next that comes. A source in which a waiter at the head holds up others serves those when the head is withdrawn.
//
// No deadlock. A claim takes no lock, so it can be made under any; and nobody ever holds the locks of two sources. Two selects
// that wait on each other's channels (send a or receive b, send b or receive a) need no claim on both at once: a send is over
// when the channel has room. Whether a waiting receiver gets the message directly is one more claim, on its own word; if that
// fails the message stays in the channel.
//
// No dangling arm. A source looks at an arm only under its lock, and not again once it has unlinked it; settle() takes the lock
// of every other arm that was linked. So after settle() nobody looks at an arm, and only then may the task go on. The one
// source that decides without its lock is the timer, whose fire() comes after it was taken out of the wheel: armed timers are
// counted in the word, and the later of settle() and such a timer completes the operation.
//
// No recursion. A withdrawn arm may let its source serve others, which may be arms, whose selects have arms to withdraw: these
// are put into a list and settled one after the other.
#pragma once

#include <belay/runtime/operation.hpp>

#include <atomic>
#include <cstdint>
#include <utility>

namespace belay::detail {

/// What became of an operation that was about to wait, decided under its source's lock. `stopped`: nothing was taken and
/// nothing linked, because a stop, or another arm of the same select, came first.
enum class admission : std::uint8_t { waiting, done, stopped };

class selection;

/// Selects that have been decided and are to be settled.
class grant_list {
public:
    inline void push(selection& s) noexcept;
    inline selection* pop() noexcept;

private:
    selection* head_ = nullptr;
};

class selection : public operation {
public:
    static constexpr unsigned max_arms = 64;

    // ---- the sources' side, any thread -------------------------------------------------------------------------
    /// True for one caller. Under the source's lock. The caller then serves the arm, releases the lock, and calls granted().
    [[nodiscard]] bool claim(unsigned arm) noexcept;
    /// The winner has what it waited for. The selection may be gone when this returns.
    void granted() noexcept;
    /// A timer went off, and claims the word or finds that it has lost. The selection may be gone when this returns.
    void timer_fired(unsigned arm) noexcept;

    /// Before a timer is armed.
    void timer_armed() noexcept { word_.fetch_add(timer_unit, std::memory_order_relaxed); }  // published by registered()
    /// A timer was disarmed and will not fire.
    void timer_disarmed() noexcept { word_.fetch_sub(timer_unit, std::memory_order_relaxed); }  // read by the same thread

    void request_stop(stop_walk&) noexcept final;
    [[nodiscard]] const char* what() const noexcept final { return "select"; }

protected:
    selection() = default;
    selection(selection&& other) noexcept : operation(std::move(other)) {}
    ~selection() = default;

    // ---- the task's side ---------------------------------------------------------------------------------------
    /// As suspend_on(); arms may be registered after it.
    bool open(record& rec) noexcept {
        word_.store(registering, std::memory_order_relaxed);  // published with the operation
        return suspend_on(rec);
    }
    /// Nothing more needs to be registered.
    [[nodiscard]] bool decided() const noexcept { return winner_of(word_.load(std::memory_order_relaxed)) != nobody; }
    /// All arms are registered, or the word is decided. What await_suspend returns: false if the task goes on at once.
    bool registered() noexcept;
    /// Once the task goes on.
    [[nodiscard]] unsigned winner() const noexcept { return winner_of(word_.load(std::memory_order_relaxed)) - 1; }

    /// Takes every registered arm but the winner's out of its source, under that source's lock, one after the other. Adds the
    /// selects that are served because of that.
    virtual void withdraw_losers(unsigned winner, grant_list& served) noexcept = 0;

private:
    friend grant_list;
    using word = std::uint32_t;
    static constexpr word winner_mask = 0xff;  // 0: nobody; arm i: i + 1; the stop
    static constexpr word nobody = 0;
    static constexpr word the_stop = 0xff;
    static constexpr word deciding = 1U << 8;
    static constexpr word registering = 1U << 9;
    static constexpr word settled = 1U << 10;
    static constexpr word timer_unit = 1U << 16;
    static constexpr word winner_of(word w) noexcept { return w & winner_mask; }
    static constexpr word timers_of(word w) noexcept { return w / timer_unit; }

    bool try_win(word who) noexcept;
    void granted(grant_list& more) noexcept;
    bool settle(word winner, grant_list& more) noexcept;
    void finish_as(word winner) noexcept;

    std::atomic<word> word_{nobody};
    selection* next_ = nullptr;  // in a grant_list; belongs to the thread that decided
};

void grant_list::push(selection& s) noexcept { s.next_ = std::exchange(head_, &s); }
selection* grant_list::pop() noexcept { return head_ != nullptr ? std::exchange(head_, head_->next_) : nullptr; }

/// An operation that can also be an arm of a select. For one that is not, claim() and grant() cost a predictable branch.
class claimable : public operation {
public:
    claimable() = default;
    /// Only before it is awaited, hence before it is attached.
    claimable(claimable&& other) noexcept : operation(std::move(other)) {}

    /// May the source serve this waiter? Under the source's lock; after `true` it must.
    [[nodiscard]] bool claim() noexcept {
        if (selection_ == nullptr) [[likely]]
            return true;
        return selection_->claim(arm_);
    }
    /// It has been served, and the lock is released. It may be gone when this returns.
    void grant() noexcept {
        if (selection_ == nullptr) [[likely]]
            return complete(outcome::value);
        selection_->granted();
    }
    /// The same from withdraw(), where a select must not be settled by recursion.
    void grant(grant_list& more) noexcept {
        if (selection_ == nullptr) return complete(outcome::value);
        more.push(*selection_);
    }

    /// From now on it is an arm. In its final place, before it is started.
    void attach(selection& s, unsigned arm) noexcept {
        selection_ = &s;
        arm_ = static_cast<std::uint8_t>(arm);
    }
    [[nodiscard]] bool same_selection(const claimable& other) const noexcept {
        return selection_ != nullptr && selection_ == other.selection_;
    }

protected:
    ~claimable() = default;
    selection* selection_ = nullptr;
    std::uint8_t arm_ = 0;
};

/// A number of the current worker's own generator. Only inside a task.
std::uint32_t random_here() noexcept;

}  // namespace belay::detail
