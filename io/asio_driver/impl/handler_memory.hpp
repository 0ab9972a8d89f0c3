// Room for one of Asio's handlers. Asio allocates per asynchronous wait, and its own recycling works only on a thread
// that is inside the io_context, which a submitting worker is not.
#pragma once

#include <atomic>
#include <cstddef>
#include <new>

namespace belay::detail {

class handler_memory {
public:
    handler_memory() = default;
    handler_memory(const handler_memory&) = delete;
    handler_memory& operator=(const handler_memory&) = delete;

    void* allocate(std::size_t size) {
        // acquire, pairs with deallocate(): the last user is done with the bytes. Taken when a wait that was given up is
        // still queued, so that its successor needs other room.
        if (size <= sizeof space_ && !taken_.exchange(true, std::memory_order_acquire)) return space_;
        return ::operator new(size);
    }
    void deallocate(void* block) noexcept {
        if (block == space_) return taken_.store(false, std::memory_order_release);
        ::operator delete(block);
    }

private:
    alignas(std::max_align_t) std::byte space_[160];
    std::atomic<bool> taken_{false};
};

/// The allocator that Asio finds at a handler through `allocator_type` and get_allocator().
template <class T>
struct handler_allocator {
    using value_type = T;
    handler_memory* memory;

    explicit handler_allocator(handler_memory& where) noexcept : memory{&where} {}
    template <class U>
    handler_allocator(const handler_allocator<U>& other) noexcept : memory{other.memory} {}
    T* allocate(std::size_t count) { return static_cast<T*>(memory->allocate(sizeof(T) * count)); }
    void deallocate(T* block, std::size_t) noexcept { memory->deallocate(block); }
    friend bool operator==(const handler_allocator&, const handler_allocator&) = default;
};

}  // namespace belay::detail
