// The bytes that a connection has received and not yet consumed, contiguous.
//
//     std::size_t n = co_await peer.read_some(buffer.room(wanted));
//     buffer.received(n);
//     ... parse buffer.unconsumed() ...
//     buffer.consume(parsed);
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>
#include <utility>

namespace kv {

// Contract: grows only to hold what really came, at most twice at a time, so that an announced length costs a client as
// much sending as it costs us memory. Shrinks after a number of small reads in a row, not at once: a connection that
// alternates between large and small does not pay an allocation every time.
class receive_buffer {
public:
    static constexpr std::size_t smallest = 4 * 1024;
    static constexpr std::size_t ordinary = 64 * 1024;  // what many small pipelined commands may grow it to
    static constexpr unsigned patience = 64;            // small reads before it shrinks

    // Where the next read may write; never empty. `wanted`: how many bytes the parser cannot go on without.
    [[nodiscard]] std::span<std::byte> room(std::size_t wanted) {
        const std::size_t target = next_capacity(end_ - begin_, wanted);
        if (target != capacity_) {
            reallocate(target);
        } else if (capacity_ - end_ < std::max(wanted, capacity_ / 4)) {
            compact();
        }
        return std::as_writable_bytes(std::span(memory_.get() + end_, capacity_ - end_));
    }

    void received(std::size_t count) noexcept {
        last_read_filled_ = count == capacity_ - end_;
        small_reads_ = count <= capacity_ / 8 ? small_reads_ + 1 : 0;
        end_ += count;
    }

    void consume(std::size_t count) noexcept {
        begin_ += count;
        if (begin_ == end_) begin_ = end_ = 0;
    }

    [[nodiscard]] std::string_view unconsumed() const noexcept { return {memory_.get() + begin_, end_ - begin_}; }
    [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }

private:
    [[nodiscard]] std::size_t next_capacity(std::size_t held, std::size_t wanted) const noexcept {
        // Half of it must be in use first: or each byte of an announced long argument would double the buffer.
        const bool may_grow = held >= capacity_ / 2 || capacity_ < ordinary;
        if (held + wanted > capacity_ && may_grow) {
            const std::size_t least = std::max(smallest, capacity_ + capacity_ / 2);
            const std::size_t most = std::max(ordinary, capacity_ * 2);
            return std::clamp(held + wanted, least, most);
        }
        if (last_read_filled_ && capacity_ < ordinary) return capacity_ * 2;
        const std::size_t smaller = std::max(capacity_ / 4, smallest);
        return small_reads_ >= patience && held + wanted <= smaller ? smaller : capacity_;
    }

    void reallocate(std::size_t capacity) {
        auto memory = std::make_unique_for_overwrite<char[]>(capacity);
        const std::string_view held = unconsumed();
        if (!held.empty()) std::memcpy(memory.get(), held.data(), held.size());
        memory_ = std::move(memory);
        capacity_ = capacity;
        begin_ = 0;
        end_ = held.size();
        small_reads_ = 0;
        last_read_filled_ = false;
    }

    void compact() noexcept {
        const std::size_t held = end_ - begin_;
        if (begin_ == 0) return;
        std::memmove(memory_.get(), memory_.get() + begin_, held);
        begin_ = 0;
        end_ = held;
    }

    std::unique_ptr<char[]> memory_;
    std::size_t capacity_ = 0;
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
    unsigned small_reads_ = 0;
    bool last_read_filled_ = false;
};

}  // namespace kv
