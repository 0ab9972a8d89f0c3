// A connection: bytes in order, both ways, over TCP or a Unix stream socket.
//
//     auto peer = co_await io::tcp_stream::connect("example.org:80");
//     co_await peer.write_all("GET / HTTP/1.0\r\n\r\n");
//     std::array<std::byte, 4096> buffer;
//     while (std::size_t n = co_await peer.read_some(buffer)) consume(std::span(buffer).first(n));
#pragma once

#include <belay/io/buffer.hpp>
#include <belay/io/descriptor.hpp>
#include <belay/io/detail/stream_awaiters.hpp>
#include <belay/io/endpoint.hpp>
#include <belay/runtime/task.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace belay::io {

/// Which half of a connection shutdown() ends.
enum class shutdown_side : std::uint8_t { read, write, both };
/// The value of a socket option that is either on or off.
enum class toggle : bool { off, on };
/// When the kernel asks an idle peer whether it is still there, and when it gives it up.
struct keep_alive_times {
    std::chrono::seconds idle{60};      ///< silence before the first question; at least one second
    std::chrono::seconds interval{10};  ///< between two questions; at least one second
    int probes = 6;                     ///< unanswered questions until the connection ends with ETIMEDOUT; at least 1
};

/// Contract
/// - Move-only owner of the connection; the destructor closes it. Neither close, destroy nor move it while an operation on
///   it is in flight (see descriptor).
/// - One reader and one writer at a time, which may be two tasks on two workers; everything else needs the stream for itself.
/// - Buffers are the caller's and stay alive and untouched until the operation has ended; structured code cannot get that
///   wrong, since a stopped task keeps its frame until the kernel has let go of it.
/// - Errors are std::system_error with the errno, and name the operation and the peer. A connection that was reset ends
///   with ECONNRESET or EPIPE (never SIGPIPE).
/// - read_some and write_some are primitive: one operation, and when a stop ends them no byte was moved. read_exact and
///   write_all are composites: they report how far they came through `transferred`, whatever ends them. None of them
///   allocates. What they return can be moved until it is awaited.
/// - TCP_NODELAY is on (see set_no_delay).
class tcp_stream {
    using recv_awaitable = detail::io_awaitable<detail::recv_awaiter, int, bool*, mutable_buffer, int>;
    using send_awaitable = detail::io_awaitable<detail::send_awaiter, int, const_buffer, int>;
    using read_exact_awaitable = detail::io_awaitable<detail::read_exact_awaiter, int, bool*, mutable_buffer, std::size_t*>;
    using write_all_awaitable = detail::io_awaitable<detail::write_all_awaiter, int, const_buffer, std::size_t*>;
    using write_all_vectored_awaitable =
        detail::io_awaitable<detail::write_all_vectored_awaiter, int, std::span<const const_buffer>, std::size_t*>;
    template <detail::direction Way, class Buffer>
    using vectored_awaitable = detail::io_awaitable<detail::vectored_awaiter<Way>, int, std::span<const Buffer>, int>;

public:
    /// Not connected; every operation ends with EBADF.
    tcp_stream() noexcept = default;
    /// Takes over a connected stream socket, e.g. one that was inherited.
    explicit tcp_stream(descriptor connected) noexcept : socket_{std::move(connected)} {}

    /// Connects. On stop: gives up, and the peer sees at most a connection that closes at once; a connection that is made
    /// by then is returned.
    [[nodiscard]] static task<tcp_stream> connect(endpoint peer);
    /// The same for what endpoint::parse reads, and for "name:port" or "name:service", which is resolved; the addresses are
    /// tried in order. Throws the last one's error, or resolve's. On stop: as above.
    [[nodiscard]] static task<tcp_stream> connect(std::string peer);

    /// Waits until there is something and reads at most buffer.size() bytes. 0 is the end of the stream, or an empty
    /// buffer. On stop: nothing was read.
    [[nodiscard]] recv_awaitable read_some(mutable_buffer buffer) noexcept {
        return recv_awaitable{socket_.native_handle(), &drained_, buffer, 0};
    }
    /// Fills the buffers in order, at most max_buffers_per_call of them.
    [[nodiscard]] auto read_some(std::span<const mutable_buffer> buffers) noexcept {
        return vectored_awaitable<detail::direction::read, mutable_buffer>{socket_.native_handle(), buffers, 0};
    }
    /// Waits until the kernel takes something and returns how many bytes, at least 1 unless `data` is empty. On stop:
    /// nothing was written.
    [[nodiscard]] send_awaitable write_some(const_buffer data) noexcept {
        return send_awaitable{socket_.native_handle(), data, 0};
    }
    [[nodiscard]] send_awaitable write_some(std::string_view text) noexcept { return write_some(as_buffer(text)); }
    /// Takes the buffers in order, at most max_buffers_per_call of them.
    [[nodiscard]] auto write_some(std::span<const const_buffer> buffers) noexcept {
        return vectored_awaitable<detail::direction::write, const_buffer>{socket_.native_handle(), buffers, 0};
    }

    /// Fills the whole buffer. Throws std::system_error with errc::end_of_stream when the peer closes before that. On stop:
    /// `transferred` bytes were read.
    [[nodiscard]] read_exact_awaitable read_exact(mutable_buffer buffer) noexcept {
        return read_exact_awaitable{socket_.native_handle(), &drained_, buffer, nullptr};
    }
    [[nodiscard]] read_exact_awaitable read_exact(mutable_buffer buffer, std::size_t& transferred) noexcept {
        transferred = 0;
        return read_exact_awaitable{socket_.native_handle(), &drained_, buffer, &transferred};
    }
    /// Writes all of it. On stop: `transferred` bytes were written. Without suspending when there is nothing to write.
    [[nodiscard]] write_all_awaitable write_all(const_buffer data) noexcept {
        return write_all_awaitable{socket_.native_handle(), data, nullptr};
    }
    [[nodiscard]] write_all_awaitable write_all(const_buffer data, std::size_t& transferred) noexcept {
        transferred = 0;
        return write_all_awaitable{socket_.native_handle(), data, &transferred};
    }
    [[nodiscard]] write_all_awaitable write_all(std::string_view text) noexcept { return write_all(as_buffer(text)); }
    [[nodiscard]] write_all_awaitable write_all(std::string_view text, std::size_t& transferred) noexcept {
        return write_all(as_buffer(text), transferred);
    }
    /// The same for several buffers, as if they were one. The array of buffers stays alive too.
    [[nodiscard]] write_all_vectored_awaitable write_all(std::span<const const_buffer> buffers) noexcept {
        return write_all_vectored_awaitable{socket_.native_handle(), buffers, nullptr};
    }
    [[nodiscard]] write_all_vectored_awaitable write_all(std::span<const const_buffer> buffers,
                                                         std::size_t& transferred) noexcept {
        transferred = 0;
        return write_all_vectored_awaitable{socket_.native_handle(), buffers, &transferred};
    }

    /// Ends one half: the peer reads the end of the stream, or our reads end. Operations in flight end with what there is.
    /// A connection that the peer has reset already is not an error.
    void shutdown(shutdown_side side);
    /// Closes now; the kernel still sends what it was given. Idempotent.
    void close() noexcept { socket_.close(); }

    /// TCP only. On from the start, since the alternative (Nagle's algorithm) holds a small write back for up to 40 ms when
    /// the peer delays its acknowledgements; off helps who writes many small pieces and cannot gather them.
    void set_no_delay(toggle value);
    void set_keep_alive(toggle value);
    /// Switches it on. TCP only.
    void set_keep_alive(keep_alive_times times);
    /// Bytes that the kernel buffers. Linux doubles the value for its bookkeeping, caps it at net.core.rmem_max (wmem_max),
    /// and stops tuning the buffer by itself.
    void set_receive_buffer(std::size_t bytes);
    void set_send_buffer(std::size_t bytes);

    /// Throws std::system_error (ENOTCONN: the peer has reset the connection).
    [[nodiscard]] endpoint local() const;
    [[nodiscard]] endpoint peer() const;
    [[nodiscard]] bool is_open() const noexcept { return socket_.is_open(); }
    [[nodiscard]] int native_handle() const noexcept { return socket_.native_handle(); }
    /// Gives the socket away.
    [[nodiscard]] descriptor release() noexcept { return std::move(socket_); }

private:
    descriptor socket_;
    bool drained_ = false;  // the last read took all there was: the next one waits before it tries
};

/// Two connected streams without a network. Throws std::system_error.
[[nodiscard]] std::pair<tcp_stream, tcp_stream> stream_pair();

}  // namespace belay::io
