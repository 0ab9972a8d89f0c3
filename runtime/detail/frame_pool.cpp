#include <belay/runtime/detail/frame_pool.hpp>

#include <algorithm>
#include <array>
#include <iterator>
#include <new>
#include <type_traits>

#include <belay/runtime/detail/frame_depot.hpp>
#include <belay/runtime/detail/held_guards.hpp>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define BELAY_POOL_PASSTHROUGH 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define BELAY_POOL_PASSTHROUGH 1
#endif
#endif

#ifdef BELAY_POOL_PASSTHROUGH
// Of every sanitizer's run-time library; <sanitizer/allocator_interface.h> is not installed with every compiler.
extern "C" int __sanitizer_get_ownership(const volatile void* block);  // NOLINT(bugprone-reserved-identifier)
extern "C" std::size_t __sanitizer_get_allocated_size(const volatile void* block);  // NOLINT(bugprone-reserved-identifier)
#endif

namespace belay::detail {

#ifdef BELAY_POOL_PASSTHROUGH

void* pool_allocate(std::size_t bytes) { return ::operator new(bytes); }
void pool_free(void* block, std::size_t bytes) noexcept { ::operator delete(block, bytes); }
std::uint64_t pool_reserved_bytes() noexcept { return 0; }
bool pool_is_passthrough() noexcept { return true; }

pool_map::pool_map() : reserved_{0} {}
std::size_t pool_map::extent(const void* block) const noexcept {
    return __sanitizer_get_ownership(block) != 0 ? __sanitizer_get_allocated_size(block) : 0;
}

#else

namespace {

using namespace pool;

static_assert(std::is_trivially_destructible_v<depot>);
constinit std::array<depot, class_count> depots{};

// A thread's free blocks of one class: the list in use, and possibly one full batch in reserve. Batches go to and from
// the depot whole, so nothing walks a list, and a thread that swings around a boundary pays once per batch.
struct magazine {
    block* head;
    block* spare;        // null, or a full batch
    std::uint32_t room;  // a batch minus the length of `head`
};

struct thread_cache {
    std::array<magazine, class_count> magazines;
};

// Two caches without blocks and without room send every call of a thread that has no cache into the slow path, without
// a test in the fast one. Nobody writes to them.
constinit thread_cache unopened{};
constinit thread_cache closed{};

// One pointer, constant-initialised and trivially destructible: reading it is one instruction. initial-exec saves the
// call to __tls_get_addr in a shared library and costs 8 bytes of the static TLS block.
[[gnu::tls_model("initial-exec")]] constinit thread_local thread_cache* local = &unopened;

struct cache_closer {
    cache_closer() = default;
    cache_closer(const cache_closer&) = delete;
    cache_closer& operator=(const cache_closer&) = delete;
    ~cache_closer() {
        thread_cache* cache = local;
        local = &closed;  // destructors of older thread_locals still come here
        for (std::size_t i = 0; i < class_count; ++i) {
            const magazine& from = cache->magazines[i];
            depots[i].give_loose(i, from.head);
            if (from.spare != nullptr) depots[i].give_batch(from.spare);
        }
        delete cache;
    }
};

// The thread's cache, made at its first call; null after its end, or when there is no memory for one.
thread_cache* open_cache() noexcept {
    if (local == &closed) return nullptr;
    if (local == &unopened) {
        own_code mine;  // the C library may wait for its loader's lock, to note the closer
        auto* made = new (std::nothrow) thread_cache{};
        if (made == nullptr) return nullptr;
        for (std::size_t i = 0; i < class_count; ++i) made->magazines[i].room = batch_blocks_of(i);
        local = made;
        static thread_local cache_closer closer;
        static_cast<void>(closer);
    }
    return local;
}

[[gnu::noinline, gnu::cold]] void* allocate_slow(std::size_t size_class) {
    thread_cache* cache = open_cache();
    if (cache == nullptr) return depots[size_class].take_one(size_class);
    magazine& from = cache->magazines[size_class];
    if (from.spare != nullptr) {
        from.head = from.spare;
        from.spare = nullptr;
        from.room = 0;
    } else {
        const block_list taken = depots[size_class].take_batch(size_class);
        from.head = taken.head;
        from.room = batch_blocks_of(size_class) - taken.count;
    }
    block* result = from.head;
    from.head = result->next;
    ++from.room;
    return result;
}

[[gnu::noinline, gnu::cold]] void free_slow(block* freed, std::size_t size_class) noexcept {
    freed->next = nullptr;
    thread_cache* cache = open_cache();
    if (cache == nullptr) return depots[size_class].give_loose(size_class, freed);
    magazine& to = cache->magazines[size_class];
    if (to.room == 0) {  // not so on the thread's first call
        if (to.spare != nullptr) depots[size_class].give_batch(to.spare);
        to.spare = to.head;
        to.head = nullptr;
        to.room = batch_blocks_of(size_class);
    }
    freed->next = to.head;
    to.head = freed;
    --to.room;
}

}  // namespace

// noinline even under LTO: inlined into a coroutine, the address of `local` could be kept across a suspension and be
// used on another thread.
[[gnu::noinline]] void* pool_allocate(std::size_t bytes) {
    if (bytes > pool_max_bytes) [[unlikely]]
        return ::operator new(bytes);
    const std::size_t size_class = class_of(bytes);
    magazine& from = local->magazines[size_class];
    block* result = from.head;
    if (result == nullptr) [[unlikely]]
        return allocate_slow(size_class);
    from.head = result->next;
    ++from.room;
    return result;
}

[[gnu::noinline]] void pool_free(void* freed, std::size_t bytes) noexcept {
    if (bytes > pool_max_bytes) [[unlikely]]
        return ::operator delete(freed, bytes);
    const std::size_t size_class = class_of(bytes);
    magazine& to = local->magazines[size_class];
    if (to.room == 0) [[unlikely]]
        return free_slow(static_cast<block*>(freed), size_class);
    auto* added = static_cast<block*>(freed);
    added->next = to.head;
    to.head = added;
    --to.room;
}

std::uint64_t pool_reserved_bytes() noexcept {
    return reserved_bytes.load(std::memory_order_relaxed);  // a statistic, pairs with nothing
}

bool pool_is_passthrough() noexcept { return false; }

pool_map::pool_map() : reserved_{pool_reserved_bytes()} {  // first: what is added meanwhile is not counted
    for (std::size_t i = 0; i < class_count; ++i)
        depots[i].for_each_chunk([&](std::uintptr_t begin) { chunks_.push_back({begin, block_bytes_of(i)}); });
    std::ranges::sort(chunks_, {}, &chunk::begin);
}

std::size_t pool_map::extent(const void* block) const noexcept {
    auto at = reinterpret_cast<std::uintptr_t>(block);
    auto after = std::ranges::upper_bound(chunks_, at, {}, &chunk::begin);
    bool inside = after != chunks_.begin() && at - std::prev(after)->begin < chunk_bytes;
    return inside ? std::prev(after)->block_bytes : pool_max_bytes;
}

#endif

}  // namespace belay::detail
