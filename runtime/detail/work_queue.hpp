#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include <belay/runtime/detail/arch.hpp>

namespace belay::detail {

// A growable queue of pointers with one owner and any number of thieves: the deque of Chase and Lev (SPAA 2005) in the
// C11 form of Lê, Pop, Cohen and Zappa Nardelli (PPoPP 2013). One class serves two lanes of a worker: the fork lane
// (owner: push + pop, newest first; thieves: steal) and the wake lane (push by the owner, steal by everyone, oldest first).
//
//     work_queue<job> lane;              // the owner's thread
//     lane.push(&a);
//     job* mine = lane.pop();            // the owner's thread
//     job* theirs = lane.steal();        // any thread
//
// Contract: push() and pop() by the owner only; each pushed pointer is returned exactly once, and what happened before
// its push happens before its return. Null cannot be pushed. push() is a release, not a full fence: an owner who pushes
// and then looks for sleepers to wake needs a sequentially consistent edge of its own between the two.
//
// Where Lê et al. use stand-alone fences, the accesses to top_ and bottom_ themselves are seq_cst, because
// ThreadSanitizer does not model fences. On x86 and ARMv8 the code is the same or better.
template <class T>
class work_queue {
public:
    static constexpr std::size_t default_capacity = 256;

    explicit work_queue(std::size_t capacity = default_capacity)
        : newest_(std::make_unique<ring>(std::bit_ceil(capacity < 2 ? 2 : capacity), nullptr)), ring_(newest_.get()) {}

    work_queue(const work_queue&) = delete;
    work_queue& operator=(const work_queue&) = delete;

    // Owner only. Throws std::bad_alloc when it has to grow and cannot; the queue is then unchanged.
    void push(T* item) {
        const std::int64_t bottom = bottom_.load(std::memory_order_relaxed);  // only the owner writes it
        ring* cells = newest_.get();
        if (bottom - top_seen_ >= cells->capacity()) [[unlikely]]
            cells = make_room(bottom);
        cells->put(bottom, item);
        // release: pairs with the load of bottom_ in steal(); publishes the cell, what the item points at, and the ring.
        bottom_.store(bottom + 1, std::memory_order_release);
    }

    // Owner only. The newest item, or null when the queue is empty.
    T* pop() noexcept {
        const std::int64_t bottom = bottom_.load(std::memory_order_relaxed) - 1;
        // top_ only grows and only the owner moves bottom_, so "empty" seen here stays true: no full fence for it.
        if (top_.load(std::memory_order_relaxed) > bottom) return nullptr;
        T* item = newest_->get(bottom);
        // seq_cst, this store before the load of top_, against steal()'s load of top_ before its load of bottom_:
        // of an owner and a thief after the same item at least one sees the other's claim.
        bottom_.store(bottom, std::memory_order_seq_cst);
        std::int64_t top = top_.load(std::memory_order_seq_cst);
        if (top < bottom) return item;
        // At most one item was left: whoever moves top_ owns it. No acquire needed to read what we pushed ourselves.
        if (top > bottom || !top_.compare_exchange_strong(top, top + 1, std::memory_order_seq_cst)) item = nullptr;
        // release: bottom_ must never hold a value whose writer did not publish the cells below it (see push()).
        bottom_.store(bottom + 1, std::memory_order_release);
        return item;
    }

    // Any thread, the owner included. The oldest item; null means that the queue was empty at a moment inside the call:
    // a race lost to another taker is retried, which is lock-free because that taker got an item.
    T* steal() noexcept {
        std::int64_t top = top_.load(std::memory_order_seq_cst);
        for (;;) {
            // seq_cst: pairs with pop(), see there. As an acquire it pairs with the release stores of push() and pop().
            if (top >= bottom_.load(std::memory_order_seq_cst)) return nullptr;
            // acquire: pairs with the release in make_room(); the fields of the ring are set. It is not older than the
            // ring of the bottom_ read above, and an older ring keeps its cells, so cell `top` is right if the CAS wins.
            T* item = ring_.load(std::memory_order_acquire)->get(top);
            // release half: our read of the cell comes before the owner's reuse of it, see make_room().
            if (top_.compare_exchange_weak(top, top + 1, std::memory_order_seq_cst)) return item;
        }
    }

    struct sighting {
        T* item;
        std::int64_t index;
    };
    // Any thread, as long as the owner neither pops nor steals: the nth item from the oldest one, which stays where it is; null when
    // there are not so many. A thief may take it at any moment: what is read of it counts only if still_holds() says so afterwards.
    sighting peek(std::size_t nth) const noexcept {
        const std::int64_t index = top_.load(std::memory_order_seq_cst) + static_cast<std::int64_t>(nth);
        // As in steal(): acquire, pairs with the release stores of push(); the ring that is read then is not older, and an older one
        // keeps its cells. The owner reuses the cell only when top_ has passed `index`.
        if (index >= bottom_.load(std::memory_order_acquire)) return {nullptr, index};
        return {ring_.load(std::memory_order_acquire)->get(index), index};
    }
    bool still_holds(const sighting& seen) const noexcept { return top_.load(std::memory_order_seq_cst) <= seen.index; }

    // Any thread. Exact for the owner while nobody steals, otherwise a value from the recent past.
    std::size_t size() const noexcept {
        // Relaxed: a hint, nothing is read on the strength of it.
        const std::int64_t bottom = bottom_.load(std::memory_order_relaxed);
        const std::int64_t top = top_.load(std::memory_order_relaxed);
        return bottom > top ? static_cast<std::size_t>(bottom - top) : 0;
    }

    bool empty() const noexcept { return size() == 0; }

    // Any thread; from the recent past. Items are numbered as they are pushed. Those below taken() are gone, and while pushed() is greater
    // the item of that number stays in the queue until taken() moves: pop() of the last item moves it as well. A queue that is never
    // popped holds all that lie between. Acquire: whoever reads both asks for taken() first, as steal() does.
    std::int64_t taken() const noexcept { return top_.load(std::memory_order_acquire); }
    std::int64_t pushed() const noexcept { return bottom_.load(std::memory_order_acquire); }

    // Owner only. Grows by doubling and never shrinks.
    std::size_t capacity() const noexcept { return static_cast<std::size_t>(newest_->capacity()); }

private:
    // Index i lives in cell i modulo the capacity. A ring that was outgrown is not written any more and stays until
    // the queue dies, because a thief may still read it; all the old ones together are smaller than the newest.
    class ring {
    public:
        ring(std::size_t capacity, std::unique_ptr<ring> outgrown)
            : mask_(capacity - 1), cells_(new std::atomic<T*>[capacity]), outgrown_(std::move(outgrown)) {}

        // Relaxed: bottom_ (push to taker) and top_ (taker to reuse of the cell) order the accesses. Atomic, because
        // a thief that is about to lose its CAS may read a cell that the owner writes.
        T* get(std::int64_t index) const noexcept { return cell(index).load(std::memory_order_relaxed); }
        void put(std::int64_t index, T* item) noexcept { cell(index).store(item, std::memory_order_relaxed); }

        std::int64_t capacity() const noexcept { return static_cast<std::int64_t>(mask_) + 1; }
        void adopt(std::unique_ptr<ring> outgrown) noexcept { outgrown_ = std::move(outgrown); }

    private:
        std::atomic<T*>& cell(std::int64_t index) const noexcept { return cells_[static_cast<std::size_t>(index) & mask_]; }

        std::size_t mask_;
        std::unique_ptr<std::atomic<T*>[]> cells_;
        std::unique_ptr<ring> outgrown_;
    };

    // The queue looks full from top_seen_: look again, and double if it is.
    [[gnu::noinline]] ring* make_room(std::int64_t bottom) {
        // acquire: pairs with the CAS in steal(); the thieves have read the cells below top_ that we now reuse.
        top_seen_ = top_.load(std::memory_order_acquire);
        ring* current = newest_.get();
        if (bottom - top_seen_ < current->capacity()) return current;
        auto bigger = std::make_unique<ring>(static_cast<std::size_t>(current->capacity()) * 2, nullptr);
        for (std::int64_t i = top_seen_; i < bottom; ++i) bigger->put(i, current->get(i));
        bigger->adopt(std::move(newest_));
        newest_ = std::move(bigger);
        // release: pairs with the acquire in steal(); the ring is complete before a thief can reach it.
        ring_.store(newest_.get(), std::memory_order_release);
        return newest_.get();
    }

    // The takers' line.
    alignas(cache_line_size) std::atomic<std::int64_t> top_{0};
    // The owner's line; takers read bottom_ and ring_.
    alignas(cache_line_size) std::atomic<std::int64_t> bottom_{0};
    std::int64_t top_seen_ = 0;  // owner's lower bound of top_: a push reads the takers' line only when it looks full
    std::unique_ptr<ring> newest_;
    std::atomic<ring*> ring_;  // newest_, for takers
};

}  // namespace belay::detail
