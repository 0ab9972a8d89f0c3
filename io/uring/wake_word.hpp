// Decides which wake() has to pay for a system call: only the first one that meets a sleeping owner. Private to io/uring.
#pragma once

#include <atomic>
#include <cstdint>

namespace belay::detail::uring {

//              wake()                    Every transition is a read-modify-write of one word, so there is no pair of
//   running -----------> notified        flags to order: wake() and begin_sleep() happen one after the other, and
//     |  ^                  | begin_sleep: does not sleep       whichever comes second sees the first. acq_rel
//     |  |  consume         |              makes what the waker wrote before wake() visible to the owner even when
//     v  +------------------+              an earlier waker had set the bit: RMWs continue a release sequence.
//   asleep -----------> woken: this wake() writes the eventfd
class wake_word {
public:
    /// Any thread. True: the owner may sleep in the kernel, and the caller must write its eventfd.
    bool notify() noexcept { return word_.fetch_or(notified, std::memory_order_acq_rel) == asleep; }
    /// Owner. False: a wake came since the last consume(); do not sleep. Either way consume() must follow.
    bool begin_sleep() noexcept { return (word_.fetch_or(asleep, std::memory_order_acq_rel) & notified) == 0; }
    /// Owner: awake, and no wake is pending.
    void consume() noexcept { word_.exchange(0, std::memory_order_acq_rel); }

    [[nodiscard]] bool is_running() const noexcept { return word_.load(std::memory_order_acquire) == 0; }
    [[nodiscard]] bool is_notified() const noexcept { return word_.load(std::memory_order_acquire) & notified; }
    [[nodiscard]] bool owner_sleeps() const noexcept { return word_.load(std::memory_order_acquire) & asleep; }

private:
    static constexpr std::uint8_t notified = 1;
    static constexpr std::uint8_t asleep = 2;
    std::atomic<std::uint8_t> word_{0};
};

}  // namespace belay::detail::uring
