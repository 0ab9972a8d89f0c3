#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace belay::detail {

// Memory for coroutine frames and task records: blocks of fixed sizes from a per-thread cache that trades batches with a
// process-wide depot. The common pair of allocate and free is a few instructions and touches nothing shared.
//
//     void* frame = pool_allocate(bytes);
//     pool_free(frame, bytes);            // any thread; the same number of bytes
//
// Contract
//  - A block is aligned to pool_alignment. Types that need more are not served: the caller must not come here with them.
//  - Any thread may free what another one allocated. Blocks have no header, so `bytes` must be what was asked for.
//  - Requests above pool_max_bytes go to ::operator new.
//  - Memory goes back to the pool, never to the operating system: the process keeps its high-water mark per size class.
//  - Works at any time of a thread's or the process's life, thread_local and static destructors included.
//  - Under AddressSanitizer and ThreadSanitizer every request goes to ::operator new, so that they see each block's life.

inline constexpr std::size_t pool_alignment = 16;
inline constexpr std::size_t pool_fine_bytes = 512;  // up to here the classes are 16 bytes apart, above it 64
inline constexpr std::size_t pool_max_bytes = 2048;

// Throws std::bad_alloc.
[[nodiscard, gnu::returns_nonnull]] void* pool_allocate(std::size_t bytes);
void pool_free(void* block, std::size_t bytes) noexcept;

// How much a request of `bytes` really takes: the block of its size class.
constexpr std::size_t pool_block_bytes(std::size_t bytes) noexcept {
    if (bytes > pool_max_bytes) return bytes;
    const std::size_t step = bytes <= pool_fine_bytes ? 16 : 64;
    return bytes == 0 ? step : (bytes + step - 1) / step * step;
}

// What the depot has taken from ::operator new for blocks so far, in use or not. Any thread; for metrics and tests.
std::uint64_t pool_reserved_bytes() noexcept;

// How large the blocks of the pool are, for diagnosis: a block does not know it itself.
class pool_map {
public:
    // Of all blocks that have been handed out so far; their memory is never given back. Any thread. O(reserved bytes / 64 KiB).
    // Throws std::bad_alloc.
    pool_map();
    // The bytes that belong to the block that pool_allocate() returned, or of a block of more than pool_max_bytes so many.
    // O(log(reserved bytes)).
    [[nodiscard]] std::size_t extent(const void* block) const noexcept;
    // The pool has grown since: blocks may come from where this does not know of.
    [[nodiscard]] bool outdated() const noexcept { return reserved_ != pool_reserved_bytes(); }

private:
    struct chunk {
        std::uintptr_t begin;
        std::size_t block_bytes;
    };
    std::uint64_t reserved_;
    std::vector<chunk> chunks_;
};

// True when the library was built for a sanitizer and the pool only forwards to ::operator new.
bool pool_is_passthrough() noexcept;

}  // namespace belay::detail
