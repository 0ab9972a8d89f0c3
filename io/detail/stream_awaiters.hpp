// The awaiters behind tcp_stream's primitive operations.
#pragma once

#include <belay/io/buffer.hpp>
#include <belay/io/detail/io_awaiter.hpp>
#include <belay/io/detail/io_composite.hpp>

#include <sys/socket.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <source_location>
#include <span>
#include <type_traits>
#include <utility>

namespace belay::io::detail {

enum class direction : std::uint8_t { read, write };
[[noreturn]] void throw_transfer_error(direction way, int fd, int error);
[[noreturn]] void throw_end_of_stream(int fd);

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
    /// Remembers what a successful read said of the socket.
    void note_drained() const noexcept {
        if (request.opcode == io_opcode::recv) *drained_ = !socket_nonempty;
    }
    std::size_t await_resume() const {
        if (result < 0) [[unlikely]]
            throw_transfer_error(direction::read, request.fd, -result);
        note_drained();
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
    /// Without the first `skipped` bytes of the first buffer.
    vectored_awaiter(int fd, std::span<const buffer_type> buffers, int flags, std::size_t skipped = 0) noexcept {
        for (auto buffer : buffers) {
            if (message_.msg_iovlen == max_buffers_per_call) break;
            buffer = buffer.subspan(std::exchange(skipped, 0));
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

// ---- composites ------------------------------------------------------------------------------------------------
// MSG_WAITALL lets io_uring itself repeat a short transfer, so that one operation is the rule. A driver may come back
// early all the same, and a stop makes it: then what has been moved counts, and the next operation does not begin.

class write_all_awaiter final : public io_composite<write_all_awaiter, send_awaiter> {
public:
    write_all_awaiter(int fd, const_buffer data, std::size_t* transferred) noexcept
        : io_composite{std::source_location::current()}, data_{data}, transferred_{transferred}, fd_{fd} {}
    [[nodiscard]] bool await_ready() const noexcept { return data_.empty() && belay::detail::spend_budget(); }
    void await_resume() const {
        if (error_ != 0) [[unlikely]]
            throw_transfer_error(direction::write, fd_, error_);
    }

private:
    friend io_composite;
    void prepare(std::optional<send_awaiter>& operation) const noexcept { operation.emplace(fd_, data_, MSG_WAITALL); }
    bool advance(const send_awaiter& operation) noexcept;

    const_buffer data_;  // what is left
    std::size_t* transferred_;
    int fd_;
    int error_ = 0;
};

class write_all_vectored_awaiter final : public io_composite<write_all_vectored_awaiter, vectored_awaiter<direction::write>> {
public:
    write_all_vectored_awaiter(int fd, std::span<const const_buffer> buffers, std::size_t* transferred) noexcept
        : io_composite{std::source_location::current()}, buffers_{buffers}, transferred_{transferred}, fd_{fd} {
        take(0);
    }
    [[nodiscard]] bool await_ready() const noexcept { return buffers_.empty() && belay::detail::spend_budget(); }
    void await_resume() const {
        if (error_ != 0) [[unlikely]]
            throw_transfer_error(direction::write, fd_, error_);
    }

private:
    friend io_composite;
    void prepare(std::optional<vectored_awaiter<direction::write>>& operation) const noexcept {
        operation.emplace(fd_, buffers_, MSG_WAITALL, sent_);
    }
    bool advance(const vectored_awaiter<direction::write>& operation) noexcept;
    void take(std::size_t bytes) noexcept;

    std::span<const const_buffer> buffers_;  // what is left; the first one is not empty
    std::size_t sent_ = 0;                   // of the first
    std::size_t* transferred_;
    int fd_;
    int error_ = 0;
};

class read_exact_awaiter final : public io_composite<read_exact_awaiter, recv_awaiter> {
public:
    read_exact_awaiter(int fd, bool* drained, mutable_buffer buffer, std::size_t* transferred) noexcept
        : io_composite{std::source_location::current()}, buffer_{buffer}, transferred_{transferred}, drained_{drained}, fd_{fd} {}
    [[nodiscard]] bool await_ready() const noexcept { return buffer_.empty() && belay::detail::spend_budget(); }
    void await_resume() const {
        if (error_ != 0) [[unlikely]]
            throw_transfer_error(direction::read, fd_, error_);
        if (!buffer_.empty()) [[unlikely]]
            throw_end_of_stream(fd_);
    }

private:
    friend io_composite;
    void prepare(std::optional<recv_awaiter>& operation) const noexcept {
        operation.emplace(fd_, drained_, buffer_, MSG_WAITALL);
    }
    bool advance(const recv_awaiter& operation) noexcept;

    mutable_buffer buffer_;  // what is still to be filled
    std::size_t* transferred_;
    bool* drained_;
    int fd_;
    int error_ = 0;
};

}  // namespace belay::io::detail
