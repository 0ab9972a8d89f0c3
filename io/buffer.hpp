// Buffers of scatter/gather I/O.
//
//     std::array parts{io::as_buffer(header), io::as_buffer(body)};
//     co_await peer.write_all(parts);
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

namespace belay::io {

/// A piece of memory to send from; the memory is the caller's.
using const_buffer = std::span<const std::byte>;
/// A piece of memory to receive into; the memory is the caller's.
using mutable_buffer = std::span<std::byte>;

/// How many buffers one system call takes here. More are legal everywhere: `some` operations use the first that many,
/// `all` operations repeat.
inline constexpr std::size_t max_buffers_per_call = 16;

[[nodiscard]] inline const_buffer as_buffer(std::string_view text) noexcept {
    return std::as_bytes(std::span{text.data(), text.size()});
}

}  // namespace belay::io
