// Accepts connections, over TCP or a Unix stream socket.
//
//     auto listener = io::tcp_listener::bind("127.0.0.1:7777");
//     for (;;) co_await s.spawn_when_free(echo, co_await listener.accept());
#pragma once

#include <belay/io/descriptor.hpp>
#include <belay/io/endpoint.hpp>
#include <belay/io/tcp_stream.hpp>
#include <belay/runtime/task.hpp>

#include <atomic>
#include <string_view>
#include <utility>

namespace belay::io {

/// How to listen. A wrong value makes bind() throw std::invalid_argument that names the field.
struct listen_options {
    int backlog = 4096;         ///< connections that wait for accept(); Linux caps it at net.core.somaxconn
    bool reuse_address = true;  ///< bind although connections of an earlier server are in TIME_WAIT
    bool reuse_port = false;    ///< share the port with other listeners that say so too; the kernel spreads the connections
    bool v6_only = false;       ///< an IPv6 listener does not take IPv4 connections as well
};

namespace detail {

/// A descriptor that is kept so that one is left when there are no others. Thread-safe but for moves.
class spare_descriptor {
public:
    spare_descriptor() noexcept = default;
    spare_descriptor(spare_descriptor&& other) noexcept : fd_{other.fd_.exchange(-1)} {}
    spare_descriptor& operator=(spare_descriptor&& other) noexcept {
        descriptor{fd_.exchange(other.fd_.exchange(-1))}.close();
        return *this;
    }
    ~spare_descriptor() { descriptor{fd_.exchange(-1)}.close(); }
    /// Has one again, if the system has.
    void refill() noexcept;
    /// Accepts the connection that `listener` has waited longest with and closes it. False when that needs a descriptor
    /// that is not to be had.
    bool reject_one(int listener) noexcept;

private:
    std::atomic<int> fd_{-1};
};

}  // namespace detail

/// Contract
/// - Move-only owner of a listening socket; the destructor closes it, and connections that nobody accepted are reset.
///   Neither close, destroy nor move it while an accept is in flight. A Unix socket's file stays: removing it is up to
///   whoever chose the path.
/// - Any number of tasks may accept at the same time, on any worker.
class tcp_listener {
public:
    /// Not listening; accept() ends with EBADF.
    tcp_listener() noexcept = default;

    /// Binds and listens; does not suspend. Port 0 lets the system choose: see local(). Throws std::system_error that names
    /// the address, the cause and what helps (EADDRINUSE, EADDRNOTAVAIL, EACCES).
    [[nodiscard]] static tcp_listener bind(const endpoint& where, listen_options options = {});
    /// The same for what endpoint::parse reads; throws std::invalid_argument for other text.
    [[nodiscard]] static tcp_listener bind(std::string_view where, listen_options options = {}) {
        return bind(endpoint::parse(where), options);
    }

    /// Waits for a connection. On stop: none was accepted; one that was is returned (or, if the task does not come to
    /// take it, closed). What concerns only the connection itself (ECONNABORTED and its like) is skipped.
    ///
    /// Throws std::system_error: EMFILE or ENFILE when no descriptor was left for a connection, which was then closed by
    /// means of a descriptor that the listener keeps in reserve. So the loop that goes on after the error does not spin on
    /// the same connection, and clients learn at once that they are not served. Other errors concern the listener.
    [[nodiscard]] task<tcp_stream> accept();

    /// Where it listens. Throws std::system_error.
    [[nodiscard]] endpoint local() const;
    /// Closes now. Idempotent.
    void close() noexcept { socket_.close(); }
    [[nodiscard]] bool is_open() const noexcept { return socket_.is_open(); }
    [[nodiscard]] int native_handle() const noexcept { return socket_.native_handle(); }

private:
    explicit tcp_listener(descriptor socket) noexcept : socket_{std::move(socket)} { spare_.refill(); }
    task<tcp_stream> accept_without_descriptors();

    descriptor socket_;
    detail::spare_descriptor spare_;
};

}  // namespace belay::io
