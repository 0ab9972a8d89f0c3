// Which workers sleep: one bit each, so that a notifier finds and claims a sleeper without a lock.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstdint>

namespace belay::detail {

inline constexpr unsigned max_workers = 256;

class idle_set {
public:
    /// A worker is about to sleep. seq_cst: before its last look at the queues (see worker::park).
    void add(unsigned index) noexcept { words_[index / 64].fetch_or(bit(index), std::memory_order_seq_cst); }
    /// The worker is awake. False when a notifier had claimed it: it has been woken on purpose.
    bool remove(unsigned index) noexcept {
        return (words_[index / 64].fetch_and(~bit(index), std::memory_order_seq_cst) & bit(index)) != 0;
    }
    /// Claims one sleeper, or returns -1. The claimer must wake it.
    int claim() noexcept {
        for (unsigned w = 0; w < words_.size(); ++w) {
            auto word = words_[w].load(std::memory_order_seq_cst);
            while (word != 0) {
                auto lowest = word & (~word + 1);
                auto before = words_[w].fetch_and(~lowest, std::memory_order_seq_cst);
                if (before & lowest) return static_cast<int>(w * 64 + static_cast<unsigned>(std::countr_zero(lowest)));
                word = before & ~lowest;
            }
        }
        return -1;
    }
    /// Claims this one. False if it does not sleep, or is claimed already.
    bool claim(unsigned index) noexcept { return remove(index); }
    /// seq_cst: after work for this one was published.
    [[nodiscard]] bool has(unsigned index) const noexcept {
        return (words_[index / 64].load(std::memory_order_seq_cst) & bit(index)) != 0;
    }
    [[nodiscard]] unsigned count() const noexcept {
        unsigned n = 0;
        for (const auto& word : words_) n += static_cast<unsigned>(std::popcount(word.load(std::memory_order_seq_cst)));
        return n;
    }
    [[nodiscard]] bool any() const noexcept {
        for (const auto& word : words_)
            if (word.load(std::memory_order_seq_cst) != 0) return true;
        return false;
    }
    /// A hint.
    [[nodiscard]] bool any_relaxed() const noexcept {
        for (const auto& word : words_)
            if (word.load(std::memory_order_relaxed) != 0) return true;
        return false;
    }

private:
    static constexpr std::uint64_t bit(unsigned index) noexcept { return std::uint64_t{1} << (index % 64); }
    alignas(64) std::array<std::atomic<std::uint64_t>, max_workers / 64> words_{};
};

}  // namespace belay::detail
