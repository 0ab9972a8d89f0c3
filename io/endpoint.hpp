// Where a socket is: an IPv4 or IPv6 address with a port, or a Unix socket's path.
//
//     auto here = io::endpoint::parse("127.0.0.1:7777");
//     auto peer = co_await io::tcp_stream::connect(here);
#pragma once

#include <sys/socket.h>

#include <compare>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace belay::io {

/// A value: copies are independent, const access from several threads is safe. Never a host name: `resolve` turns names
/// into endpoints. Nothing here suspends.
class endpoint {
public:
    enum class kind : std::uint8_t { ipv4, ipv6, unix_socket };

    /// 0.0.0.0:0
    endpoint() noexcept;
    /// Reads what to_string() writes:
    ///     127.0.0.1:7777   [::1]:80   [fe80::1%eth0]:80   unix:/run/app.sock   unix:@abstract-name
    ///     :8080            any IPv4 address ([::]:8080 for both families; see listen_options::v6_only)
    /// Throws std::invalid_argument that names the text, what is wrong with it and these forms.
    [[nodiscard]] static endpoint parse(std::string_view text);
    /// 127.0.0.1 with this port; 0 lets the system choose one when bound.
    [[nodiscard]] static endpoint loopback(std::uint16_t port) noexcept;
    /// A Unix socket; a leading '@' means the abstract namespace, which has no file. Throws std::invalid_argument when the
    /// path is empty, longer than 107 bytes, or contains a zero byte.
    [[nodiscard]] static endpoint unix_path(std::string_view path);
    /// Copies a system address. Throws std::invalid_argument for a family other than the three kinds, or a bad length.
    [[nodiscard]] static endpoint from_sockaddr(const sockaddr* address, socklen_t length);

    [[nodiscard]] kind family() const noexcept;
    [[nodiscard]] bool is_unix() const noexcept { return family() == kind::unix_socket; }
    /// In host byte order; 0 for a Unix socket.
    [[nodiscard]] std::uint16_t port() const noexcept;
    /// The address without the port: "127.0.0.1", "fe80::1%2"; for a Unix socket its path, "@..." when abstract, empty when
    /// the socket has no name (a client's end).
    [[nodiscard]] std::string address() const;
    /// What parse() reads. An unnamed Unix socket, which cannot be parsed, is "unix:".
    [[nodiscard]] std::string to_string() const;

    /// For system calls; valid as long as this object.
    [[nodiscard]] const sockaddr* data() const noexcept { return reinterpret_cast<const sockaddr*>(storage_); }
    [[nodiscard]] socklen_t size() const noexcept { return length_; }

    /// Becomes what a descriptor is bound or connected to. False, and unchanged, when the kernel does not know.
    bool assign_local_of(int fd) noexcept;
    bool assign_peer_of(int fd) noexcept;

    /// By kind, then address, then port.
    friend std::strong_ordering operator<=>(const endpoint& a, const endpoint& b) noexcept { return a.compare(b); }
    friend bool operator==(const endpoint& a, const endpoint& b) noexcept { return a.compare(b) == 0; }

private:
    static constexpr std::size_t capacity = 112;  // a sockaddr_un, rounded up
    template <class Address>
    [[nodiscard]] Address as() const noexcept;
    template <class Address>
    void assign(const Address& address, std::size_t length = sizeof(Address)) noexcept;
    bool assign_bytes(const void* address, std::size_t length) noexcept;
    [[nodiscard]] std::string_view unix_bytes() const noexcept;
    [[nodiscard]] std::strong_ordering compare(const endpoint& other) const noexcept;

    alignas(8) std::byte storage_[capacity] = {};
    socklen_t length_ = 0;
};

}  // namespace belay::io
