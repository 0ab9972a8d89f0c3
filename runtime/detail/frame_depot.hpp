#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <new>

#include <belay/runtime/detail/arch.hpp>
#include <belay/runtime/detail/frame_pool.hpp>
#include <belay/runtime/detail/spin_lock.hpp>

// The shared half of the frame pool: its size classes and the depot behind the thread caches. Only frame_pool.cpp
// includes this.
namespace belay::detail::pool {

// Class 0 exists only for requests of zero bytes, so that the mapping needs no branch for them.
inline constexpr std::size_t fine_classes = pool_fine_bytes / 16 + 1;
inline constexpr std::size_t class_count = fine_classes + (pool_max_bytes - pool_fine_bytes) / 64;
inline constexpr std::size_t chunk_bytes = std::size_t{64} * 1024;

constexpr std::size_t class_of(std::size_t bytes) noexcept {
    if (bytes <= pool_fine_bytes) [[likely]]
        return (bytes + 15) / 16;
    return fine_classes - 1 + (bytes - pool_fine_bytes + 63) / 64;
}

constexpr std::size_t block_bytes_of(std::size_t size_class) noexcept {
    if (size_class < fine_classes) return std::max<std::size_t>(size_class, 1) * 16;
    return pool_fine_bytes + (size_class - fine_classes + 1) * 64;
}

static_assert(block_bytes_of(class_of(0)) == 16 && block_bytes_of(class_of(17)) == 32);
static_assert(block_bytes_of(class_of(512)) == 512 && block_bytes_of(class_of(513)) == 576);
static_assert(class_of(pool_max_bytes) == class_count - 1 && block_bytes_of(class_count - 1) == pool_max_bytes);

// Blocks move between a thread and the depot by the batch: 8 KiB worth, but enough of them to pay for the lock.
constexpr std::uint32_t batch_blocks_of(std::size_t size_class) noexcept {
    return static_cast<std::uint32_t>(std::clamp<std::size_t>(8192 / block_bytes_of(size_class), 8, 64));
}

// A free block; two words, which the smallest class has.
struct block {
    block* next;        // in its list
    block* next_batch;  // valid in the head of a full batch inside the depot
};
static_assert(sizeof(block) == 16);

struct block_list {
    block* head;
    std::uint32_t count;
};

inline constinit std::atomic<std::uint64_t> reserved_bytes{0};

// What threads give back and take, per size class. Leaked by construction (constinit, trivially destructible), so there
// is no moment at which it is gone.
class alignas(cache_line_size) depot {
public:
    // A list of 1 to batch_blocks_of() blocks. Throws std::bad_alloc.
    block_list take_batch(std::size_t size_class) {
        for (;;) {
            {
                std::scoped_lock guard(lock_);
                if (const block_list found = find_batch(size_class); found.head != nullptr) return found;
            }
            // Not under the lock: operator new may enter the kernel. Several threads may come here at once; each adds a
            // chunk, and all of them get used.
            add_chunk();
        }
    }

    void give_batch(block* full) noexcept {
        std::scoped_lock guard(lock_);
        full->next_batch = full_batches_;
        full_batches_ = full;
    }

    // For threads that have no cache: one block at a time.
    block* take_one(std::size_t size_class) {
        const block_list taken = take_batch(size_class);
        give_loose(size_class, taken.head->next);
        return taken.head;
    }

    // A list of any length, relinked one by one into full batches.
    void give_loose(std::size_t size_class, block* list) noexcept {
        std::scoped_lock guard(lock_);
        while (list != nullptr) {
            block* next = list->next;
            list->next = loose_.head;
            loose_.head = list;
            if (++loose_.count == batch_blocks_of(size_class)) {
                loose_.head->next_batch = full_batches_;
                full_batches_ = loose_.head;
                loose_ = {};
            }
            list = next;
        }
    }

    // Calls f(begin) for each chunk: chunk_bytes that are divided into blocks.
    template <class F>
    void for_each_chunk(F&& f) {
        chunk* newest = nullptr;
        {
            std::scoped_lock guard(lock_);
            newest = chunks_;
        }
        for (chunk* c = newest; c != nullptr; c = c->older) f(reinterpret_cast<std::uintptr_t>(c));  // `older` never changes
    }

private:
    struct chunk {
        chunk* next_fresh;
        chunk* older;  // keeps every chunk reachable for leak checkers and debuggers
    };
    static_assert(sizeof(chunk) <= cache_line_size);  // blocks start one line in

    block_list find_batch(std::size_t size_class) noexcept {
        const std::uint32_t batch = batch_blocks_of(size_class);
        if (full_batches_ != nullptr) {
            block* head = full_batches_;
            full_batches_ = head->next_batch;
            return {head, batch};
        }
        if (loose_.head != nullptr) {
            const block_list found = loose_;
            loose_ = {};
            return found;
        }
        return carve(block_bytes_of(size_class), batch);
    }

    // Links up to `most` blocks of the current chunk; the rest stays untouched, so its pages are not committed.
    block_list carve(std::size_t block_bytes, std::uint32_t most) noexcept {
        if (left_ < block_bytes && fresh_ != nullptr) {
            cursor_ = reinterpret_cast<std::byte*>(fresh_) + cache_line_size;
            left_ = chunk_bytes - cache_line_size;
            fresh_ = fresh_->next_fresh;
        }
        block_list carved{};
        block** tail = &carved.head;
        for (; carved.count < most && left_ >= block_bytes; ++carved.count) {
            *tail = ::new (cursor_) block{};
            tail = &(*tail)->next;
            cursor_ += block_bytes;
            left_ -= block_bytes;
        }
        return carved;
    }

    void add_chunk() {
        // Aligned to a line, so that blocks of a multiple of 64 bytes do not straddle one more than they must.
        auto* added = static_cast<chunk*>(::operator new(chunk_bytes, std::align_val_t{cache_line_size}));
        reserved_bytes.fetch_add(chunk_bytes, std::memory_order_relaxed);  // a statistic, pairs with nothing
        std::scoped_lock guard(lock_);
        ::new (added) chunk{.next_fresh = fresh_, .older = chunks_};
        fresh_ = added;
        chunks_ = added;
    }

    spin_lock lock_;
    block* full_batches_ = nullptr;
    block_list loose_{};  // fewer than a batch
    std::byte* cursor_ = nullptr;
    std::size_t left_ = 0;
    chunk* fresh_ = nullptr;
    chunk* chunks_ = nullptr;
};

}  // namespace belay::detail::pool
