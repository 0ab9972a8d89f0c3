// Datagrams over UDP: each arrives whole, twice, late or never.
//
//     auto socket = io::udp_socket::bind("127.0.0.1:5353");
//     std::array<std::byte, 2048> buffer;
//     auto question = co_await socket.receive(buffer);
//     co_await socket.send_to(answer(std::span(buffer).first(question.size)), question.from);
#pragma once

#include <belay/io/buffer.hpp>
#include <belay/io/descriptor.hpp>
#include <belay/io/detail/datagram_awaiters.hpp>
#include <belay/io/endpoint.hpp>

#include <cstddef>
#include <string_view>
#include <utility>

namespace belay::io {

/// What has arrived.
struct datagram {
    std::size_t size = 0;     ///< bytes of the buffer that it fills; an empty datagram is one, too
    endpoint from;            ///< who sent it
    bool truncated = false;   ///< it was longer than the buffer, and the rest is lost
};

struct udp_options {
    bool reuse_port = false;  ///< several sockets share the address, and the kernel deals senders out among them (SO_REUSEPORT)
    bool v6_only = false;  ///< [::]:port takes no IPv4
    bool broadcast = false;  ///< may send to broadcast addresses, which is EACCES otherwise
};

/// Contract
/// - Move-only owner of the socket; the destructor closes it. Neither close, destroy nor move it while an operation on it is in
///   flight (see descriptor).
/// - One receiver and one sender at a time, which may be two tasks on two workers.
/// - Buffers are the caller's and stay alive and untouched until the operation has ended; endpoints are copied.
/// - Errors are std::system_error with the errno. Nothing is allocated. What send_to() and its like return can be moved until it is
///   awaited.
/// - A datagram that finds the receiver's buffer full is dropped by the kernel, and nobody is told: who must know has to ask for an
///   answer, with timeout() and retry().
class udp_socket {
    using send_awaitable = detail::io_awaitable<detail::send_datagram_awaiter, int, const_buffer>;
    using send_to_awaitable = detail::io_awaitable<detail::send_datagram_awaiter, int, const_buffer, endpoint>;
    using receive_awaitable = detail::io_awaitable<detail::receive_datagram_awaiter, int, mutable_buffer>;

public:
    /// The largest that UDP over IPv4 carries. What is larger than the path's MTU, often 1,500 with its headers, comes in
    /// fragments, of which none may be lost.
    static constexpr std::size_t max_size = 65'507;

    /// Bound to nothing; every operation ends with EBADF.
    udp_socket() noexcept = default;
    /// Takes over a datagram socket, e.g. one that was inherited.
    explicit udp_socket(descriptor bound) noexcept : socket_{std::move(bound)} {}

    /// Port 0 lets the system choose one. Throws std::system_error that names the address and the remedy; std::invalid_argument for
    /// a Unix socket's path.
    [[nodiscard]] static udp_socket bind(const endpoint& where, udp_options options = {});
    [[nodiscard]] static udp_socket bind(std::string_view where, udp_options options = {}) {
        return bind(endpoint::parse(where), options);
    }
    /// From now on send() goes there, receive() has datagrams from there alone, and both end with ECONNREFUSED once the peer's
    /// machine has said that nobody has that port. Sends nothing and does not wait. Throws std::system_error.
    void connect(const endpoint& peer);

    /// Waits until the kernel takes the datagram: all of it, or an error (EMSGSIZE: larger than max_size, or than a path MTU that
    /// is known). On stop: it was not sent.
    [[nodiscard]] send_to_awaitable send_to(const_buffer data, const endpoint& to) noexcept {
        return send_to_awaitable{socket_.native_handle(), data, to};
    }
    [[nodiscard]] send_to_awaitable send_to(std::string_view text, const endpoint& to) noexcept {
        return send_to(as_buffer(text), to);
    }
    /// To the connected peer; EDESTADDRREQ without one.
    [[nodiscard]] send_awaitable send(const_buffer data) noexcept { return send_awaitable{socket_.native_handle(), data}; }
    [[nodiscard]] send_awaitable send(std::string_view text) noexcept { return send(as_buffer(text)); }
    /// Waits for a datagram. On stop: none was taken.
    [[nodiscard]] receive_awaitable receive(mutable_buffer buffer) noexcept {
        return receive_awaitable{socket_.native_handle(), buffer};
    }

    /// Bytes that the kernel buffers, with its bookkeeping; capped at net.core.rmem_max (wmem_max).
    void set_receive_buffer(std::size_t bytes);
    void set_send_buffer(std::size_t bytes);

    /// Throws std::system_error.
    [[nodiscard]] endpoint local() const;
    /// Closes now. Idempotent.
    void close() noexcept { socket_.close(); }
    [[nodiscard]] bool is_open() const noexcept { return socket_.is_open(); }
    [[nodiscard]] int native_handle() const noexcept { return socket_.native_handle(); }
    [[nodiscard]] descriptor release() noexcept { return std::move(socket_); }

private:
    descriptor socket_;
};

}  // namespace belay::io
