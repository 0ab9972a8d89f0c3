#include <belay/io/detail/socket_calls.hpp>
#include <belay/io/endpoint.hpp>

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <type_traits>

namespace belay::io {
namespace {

constexpr std::size_t path_offset = offsetof(sockaddr_un, sun_path);
constexpr std::size_t path_capacity = sizeof(sockaddr_un) - path_offset;

std::strong_ordering compare_bytes(const void* a, const void* b, std::size_t length) noexcept {
    return std::memcmp(a, b, length) <=> 0;
}

std::string ipv6_text(const sockaddr_in6& address) {
    char text[INET6_ADDRSTRLEN];
    ::inet_ntop(AF_INET6, &address.sin6_addr, text, sizeof(text));
    std::string result{text};
    if (address.sin6_scope_id == 0) return result;
    char name[IF_NAMESIZE];
    const bool named = ::if_indextoname(address.sin6_scope_id, name) != nullptr;
    return result + '%' + (named ? std::string{name} : std::to_string(address.sin6_scope_id));
}

}  // namespace

template <class Address>
Address endpoint::as() const noexcept {
    static_assert(std::is_trivially_copyable_v<Address> && sizeof(Address) <= capacity);
    Address address;
    std::memcpy(&address, storage_, sizeof(address));
    return address;
}

template <class Address>
void endpoint::assign(const Address& address, std::size_t length) noexcept {
    static_assert(std::is_trivially_copyable_v<Address> && sizeof(Address) <= capacity);
    assign_bytes(&address, length);
}

bool endpoint::assign_bytes(const void* address, std::size_t length) noexcept {
    sa_family_t family = AF_UNSPEC;
    if (length < sizeof(family) || length > capacity) return false;
    std::memcpy(&family, address, sizeof(family));
    if (family != AF_UNIX && !(family == AF_INET && length >= sizeof(sockaddr_in)) &&
        !(family == AF_INET6 && length >= sizeof(sockaddr_in6)))
        return false;
    std::memset(storage_, 0, capacity);
    std::memcpy(storage_, address, length);
    length_ = static_cast<socklen_t>(length);
    return true;
}

endpoint::endpoint() noexcept {
    sockaddr_in any{};
    any.sin_family = AF_INET;
    assign(any);
}

endpoint endpoint::loopback(std::uint16_t port) noexcept {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    endpoint result;
    result.assign(address);
    return result;
}

endpoint endpoint::unix_path(std::string_view path) {
    // A file's path is kept with its terminating zero; an abstract name has a leading one instead.
    if (path.empty() || path == "@") throw std::invalid_argument{"belay: a Unix socket needs a path or an @abstract-name"};
    if (const auto zero = path.find('\0'); zero != path.npos) {
        throw std::invalid_argument{"belay: the Unix socket path contains a zero byte, after '" +
                                    std::string{path.substr(0, zero)} + "'"};
    }
    if (path.size() >= path_capacity) {
        throw std::invalid_argument{"belay: the Unix socket path '" + std::string{path} + "' has " + std::to_string(path.size()) +
                                    " bytes; the system allows " + std::to_string(path_capacity - 1)};
    }
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const bool abstract = path.front() == '@';
    std::copy(path.begin() + (abstract ? 1 : 0), path.end(), address.sun_path + (abstract ? 1 : 0));
    endpoint result;
    result.assign(address, path_offset + path.size() + (abstract ? 0 : 1));
    return result;
}

endpoint endpoint::from_sockaddr(const sockaddr* address, socklen_t length) {
    endpoint result;
    if (!result.assign_bytes(address, length))
        throw std::invalid_argument{"belay: not the address of an IPv4, IPv6 or Unix socket"};
    return result;
}

endpoint::kind endpoint::family() const noexcept {
    switch (data()->sa_family) {
    case AF_INET6: return kind::ipv6;
    case AF_UNIX: return kind::unix_socket;
    default: return kind::ipv4;
    }
}

std::uint16_t endpoint::port() const noexcept {
    switch (family()) {
    case kind::ipv4: return ntohs(as<sockaddr_in>().sin_port);
    case kind::ipv6: return ntohs(as<sockaddr_in6>().sin6_port);
    case kind::unix_socket: break;
    }
    return 0;
}

// The path without its terminating zero, or the abstract name with its leading one.
std::string_view endpoint::unix_bytes() const noexcept {
    const std::string_view bytes{reinterpret_cast<const char*>(storage_) + path_offset, length_ - path_offset};
    return bytes.starts_with('\0') ? bytes : bytes.substr(0, bytes.find('\0'));
}

std::string endpoint::address() const {
    switch (family()) {
    case kind::ipv4: {
        const auto address = as<sockaddr_in>();
        char text[INET_ADDRSTRLEN];
        return ::inet_ntop(AF_INET, &address.sin_addr, text, sizeof(text));
    }
    case kind::ipv6: return ipv6_text(as<sockaddr_in6>());
    case kind::unix_socket: break;
    }
    std::string path{unix_bytes()};
    if (path.starts_with('\0')) path.front() = '@';
    return path;
}

std::string endpoint::to_string() const {
    switch (family()) {
    case kind::ipv4: return address() + ':' + std::to_string(port());
    case kind::ipv6: return '[' + address() + "]:" + std::to_string(port());
    case kind::unix_socket: break;
    }
    return "unix:" + address();
}

bool endpoint::assign_local_of(int fd) noexcept {
    std::byte bytes[capacity];
    socklen_t length = capacity;
    return detail::socket_calls::local_address(fd, reinterpret_cast<sockaddr*>(bytes), &length) == 0 &&
           assign_bytes(bytes, length);
}

bool endpoint::assign_peer_of(int fd) noexcept {
    std::byte bytes[capacity];
    socklen_t length = capacity;
    return detail::socket_calls::peer_address(fd, reinterpret_cast<sockaddr*>(bytes), &length) == 0 &&
           assign_bytes(bytes, length);
}

std::strong_ordering endpoint::compare(const endpoint& other) const noexcept {
    if (auto order = family() <=> other.family(); order != 0) return order;
    switch (family()) {
    case kind::ipv4: {
        const auto a = as<sockaddr_in>();
        const auto b = other.as<sockaddr_in>();
        if (auto order = compare_bytes(&a.sin_addr, &b.sin_addr, sizeof(a.sin_addr)); order != 0) return order;
        return port() <=> other.port();
    }
    case kind::ipv6: {
        const auto a = as<sockaddr_in6>();
        const auto b = other.as<sockaddr_in6>();
        if (auto order = compare_bytes(&a.sin6_addr, &b.sin6_addr, sizeof(a.sin6_addr)); order != 0) return order;
        if (auto order = a.sin6_scope_id <=> b.sin6_scope_id; order != 0) return order;
        return port() <=> other.port();
    }
    case kind::unix_socket: break;
    }
    return unix_bytes() <=> other.unix_bytes();
}

}  // namespace belay::io
