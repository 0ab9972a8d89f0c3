#include <belay/io/asio_driver/impl/descriptor_table.hpp>

#include <new>

namespace belay::detail {
namespace {

/// What `place` points to, or what `make` returns, whichever thread comes first.
template <class T, class Make>
T* get_or_make(std::atomic<T*>& place, Make make) noexcept {
    T* there = place.load(std::memory_order_seq_cst);
    if (there != nullptr) [[likely]]
        return there;
    std::unique_ptr<T> fresh{make()};
    if (fresh != nullptr && place.compare_exchange_strong(there, fresh.get(), std::memory_order_seq_cst)) return fresh.release();
    return there;
}

}  // namespace

descriptor_table::~descriptor_table() {
    for (auto& entry : pages_) {
        page* there = entry.load(std::memory_order_relaxed);  // the last user
        if (there == nullptr) continue;
        for (auto& slot : *there) delete slot.load(std::memory_order_relaxed);
        delete there;
    }
}

descriptor_slot* descriptor_table::find(int fd) const noexcept {
    auto index = static_cast<std::size_t>(fd);
    if (fd < 0 || index >= page_count * page_size) return nullptr;
    page* there = pages_[index >> page_bits].load(std::memory_order_seq_cst);
    return there == nullptr ? nullptr : (*there)[index % page_size].load(std::memory_order_seq_cst);
}

descriptor_slot* descriptor_table::get(int fd) noexcept {
    auto index = static_cast<std::size_t>(fd);
    if (fd < 0 || index >= page_count * page_size) return nullptr;
    page* there = get_or_make(pages_[index >> page_bits], [] { return new (std::nothrow) page{}; });
    if (there == nullptr) return nullptr;
    return get_or_make((*there)[index % page_size], [fd] { return new (std::nothrow) descriptor_slot{fd}; });
}

void descriptor_table::leave(asio_port& port) noexcept {
    for (auto& entry : pages_) {
        page* there = entry.load(std::memory_order_seq_cst);
        if (there == nullptr) continue;
        for (auto& place : *there)
            if (auto* slot = place.load(std::memory_order_seq_cst)) slot->leave(port);
    }
}

}  // namespace belay::detail
