// The awaiters behind tcp_stream's primitive operations.
#pragma once

#include <belay/io/buffer.hpp>
#include <belay/io/detail/io_awaiter.hpp>

#include <sys/socket.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <span>

namespace belay::io::detail {

enum class direction : std::uint8_t { read, write };
[[noreturn]] void throw_transfer_error(direction way, int fd, int error);

/// recv(2). `drained` is the stream's memory of whether its last read left anything behind.
class recv_awaiter final : public io_awaiter {
public:
    recv_awaiter(int fd, bool* drained, mutable_buffer buffer, int flags) noexcept : drained_{drained} {
        request.opcode = buffer.empty() ? io_opcode::nop : io_opcode::recv;
        request.fd = fd;
        request.buffer = buffer.data();
        request.length = buffer.size();
        request.flags = flags;
        request.expect_ready = !*drained;
    }
    std::size_t await_resume() {
        if (result < 0) [[unlikely]]
            throw_transfer_error(direction::read, request.fd, -result);
        if (request.opcode == io_opcode::recv) *drained_ = !socket_nonempty;
        return static_cast<std::size_t>(result);
    }
    [[nodiscard]] const char* what() const noexcept override { return "tcp.read"; }

private:
    bool* drained_;
};

/// send(2).
class send_awaiter final : public io_awaiter {
public:
    send_awaiter(int fd, const_buffer data, int flags) noexcept {
        request.opcode = data.empty() ? io_opcode::nop : io_opcode::send;
        request.fd = fd;
        request.buffer = const_cast<std::byte*>(data.data());  // one field for both ways; a send only reads it
        request.length = data.size();
        request.flags = flags;
    }
    std::size_t await_resume() const {
        if (result < 0) [[unlikely]]
            throw_transfer_error(direction::write, request.fd, -result);
        return static_cast<std::size_t>(result);
    }
    [[nodiscard]] const char* what() const noexcept override { return "tcp.write"; }
};

/// recvmsg(2) and sendmsg(2) with as many of the buffers as one call takes.
template <direction Way>
class vectored_awaiter final : public io_awaiter {
    using buffer_type = std::conditional_t<Way == direction::read, mutable_buffer, const_buffer>;

public:
    vectored_awaiter(int fd, std::span<const buffer_type> buffers, int flags) noexcept {
        for (const auto& buffer : buffers) {
            if (message_.msg_iovlen == max_buffers_per_call) break;
            if (buffer.empty()) continue;
            parts_[message_.msg_iovlen++] = {const_cast<std::byte*>(buffer.data()), buffer.size()};
        }
        message_.msg_iov = parts_;
        request.opcode = opcode();
        request.fd = fd;
        request.message = &message_;
        request.flags = flags;
    }
    std::size_t await_resume() const {
        if (result < 0) [[unlikely]]
            throw_transfer_error(Way, request.fd, -result);
        return static_cast<std::size_t>(result);
    }
    [[nodiscard]] const char* what() const noexcept override { return Way == direction::read ? "tcp.read" : "tcp.write"; }

private:
    [[nodiscard]] io_opcode opcode() const noexcept {
        if (message_.msg_iovlen == 0) return io_opcode::nop;
        return Way == direction::read ? io_opcode::recvmsg : io_opcode::sendmsg;
    }
    iovec parts_[max_buffers_per_call];
    msghdr message_{};
};

}  // namespace belay::io::detail
