// From descriptor numbers to slots. Shared by the ports of a driver; slots live as long as the table, so that looking one
// up takes no lock and cancel() needs nothing but the number.
#pragma once

#include <belay/io/asio_driver/impl/descriptor_slot.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <memory>

namespace belay::detail {

class descriptor_table {
public:
    descriptor_table() = default;
    ~descriptor_table();
    descriptor_table(const descriptor_table&) = delete;
    descriptor_table& operator=(const descriptor_table&) = delete;

    /// The slot of `fd`, or null when it has none yet.
    [[nodiscard]] descriptor_slot* find(int fd) const noexcept;
    /// The same, but makes it. Null when `fd` cannot be a descriptor, or when there is no memory.
    [[nodiscard]] descriptor_slot* get(int fd) noexcept;
    void leave(asio_port& port) noexcept;

private:
    static constexpr std::size_t page_bits = 10;
    static constexpr std::size_t page_size = std::size_t{1} << page_bits;
    static constexpr std::size_t page_count = 4096;  // four million descriptors; Linux allows one by default
    // seq_cst, all of them. cancel() sets the operation's stop_bit and then looks for the slot; submit() makes the slot
    // and then, about to park, reads the bit. If cancel() finds no slot, then submit() sees the bit.
    using page = std::array<std::atomic<descriptor_slot*>, page_size>;
    std::array<std::atomic<page*>, page_count> pages_{};
};

}  // namespace belay::detail
