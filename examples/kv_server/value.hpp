// The value of a key. A small one lives in the entry and is copied under the shard's lock; a large one is shared, so that
// a reader takes a reference under the lock and copies the bytes after it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace kv {

// Contract: bytes that are shared never change. append() writes in place only while nobody else holds the bytes, and that
// is stable under the shard's lock: a reference can only be made by copying the value, which takes the lock.
class value {
public:
    static constexpr std::size_t large_size = 16 * 1024;

    value() = default;
    explicit value(std::string_view bytes) { assign(bytes); }
    value(const value& other) : small_(other.small_), large_(other.large_) { retain(); }
    value(value&& other) noexcept : small_(std::move(other.small_)), large_(std::exchange(other.large_, nullptr)) {}
    value& operator=(value other) noexcept {
        swap(other);
        return *this;
    }
    ~value() { release(); }

    [[nodiscard]] bool is_large() const noexcept { return large_ != nullptr; }
    [[nodiscard]] std::string_view view() const noexcept { return large_ ? large_->bytes : small_; }
    [[nodiscard]] std::size_t size() const noexcept { return view().size(); }

    // Keeps the memory of a small value, so that overwriting one allocates nothing.
    void assign(std::string_view bytes) {
        if (bytes.size() >= large_size) {
            value(new shared_bytes{std::string(bytes)}).swap(*this);
        } else if (large_) {
            value(bytes).swap(*this);
        } else {
            small_.assign(bytes);
        }
    }

    void append(std::string_view suffix) {
        if (large_ && is_sole_owner()) {
            large_->bytes.append(suffix);
        } else if (size() + suffix.size() < large_size) {
            small_.append(suffix);
        } else {
            std::string joined;
            joined.reserve((size() + suffix.size()) * 3 / 2);  // who appends will append again
            joined.append(view()).append(suffix);
            value(new shared_bytes{std::move(joined)}).swap(*this);
        }
    }

    void swap(value& other) noexcept {
        small_.swap(other.small_);
        std::swap(large_, other.large_);
    }

    // Bytes allocated beside the object itself, approximately.
    [[nodiscard]] std::size_t heap_size() const noexcept {
        if (large_) return sizeof(shared_bytes) + large_->bytes.capacity();
        return small_.capacity() > inline_capacity ? small_.capacity() : 0;
    }

private:
    struct shared_bytes {
        std::string bytes;
        std::atomic<std::uint32_t> owners{1};
    };
    static constexpr std::size_t inline_capacity = 15;  // of libstdc++'s std::string

    explicit value(shared_bytes* large) noexcept : large_(large) {}

    void retain() noexcept {
        if (large_) large_->owners.fetch_add(1, std::memory_order_relaxed);  // the copied-from value keeps it alive
    }
    void release() noexcept {
        // acq_rel: every other owner's reads happen before the bytes go.
        if (large_ && large_->owners.fetch_sub(1, std::memory_order_acq_rel) == 1) delete large_;
    }
    // acquire: pairs with release() of the last reader, whose reads happen before our writes.
    [[nodiscard]] bool is_sole_owner() const noexcept { return large_->owners.load(std::memory_order_acquire) == 1; }

    std::string small_;
    shared_bytes* large_ = nullptr;
};

}  // namespace kv
