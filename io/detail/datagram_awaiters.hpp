// The awaiters behind udp_socket's operations.
#pragma once

#include <belay/io/buffer.hpp>
#include <belay/io/detail/io_awaiter.hpp>
#include <belay/io/endpoint.hpp>

#include <sys/socket.h>
#include <sys/uio.h>

#include <cstddef>

namespace belay::io {
struct datagram;
}

namespace belay::io::detail {

/// One recvmsg(2) or sendmsg(2) of one buffer.
class datagram_awaiter : public io_awaiter {
protected:
    datagram_awaiter(io_opcode opcode, int fd, void* data, std::size_t bytes) noexcept : part_{data, bytes} {
        message_.msg_iov = &part_;
        message_.msg_iovlen = 1;
        request.opcode = opcode;
        request.fd = fd;
        request.message = &message_;
    }
    ~datagram_awaiter() = default;

    iovec part_;
    msghdr message_{};
};

class send_datagram_awaiter final : public datagram_awaiter {
public:
    /// To the peer that the socket is connected to.
    send_datagram_awaiter(int fd, const_buffer data) noexcept
        // One field for both ways; a send only reads it.
        : datagram_awaiter{io_opcode::sendmsg, fd, const_cast<std::byte*>(data.data()), data.size()} {}
    send_datagram_awaiter(int fd, const_buffer data, const endpoint& to) noexcept : send_datagram_awaiter{fd, data} {
        to_ = to;
        message_.msg_name = const_cast<sockaddr*>(to_.data());
        message_.msg_namelen = to_.size();
    }
    void await_resume() const {
        if (result < 0) [[unlikely]]
            throw_error();
    }
    [[nodiscard]] const char* what() const noexcept override { return "udp.send"; }

private:
    [[noreturn]] void throw_error() const;
    endpoint to_;
};

class receive_datagram_awaiter final : public datagram_awaiter {
public:
    receive_datagram_awaiter(int fd, mutable_buffer buffer) noexcept
        : datagram_awaiter{io_opcode::recvmsg, fd, buffer.data(), buffer.size()} {
        message_.msg_name = &from_;
        message_.msg_namelen = sizeof from_;
    }
    datagram await_resume() const;
    [[nodiscard]] const char* what() const noexcept override { return "udp.receive"; }

private:
    sockaddr_storage from_;
};

}  // namespace belay::io::detail
