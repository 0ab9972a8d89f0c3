// Which address a simulated socket has, and whom one finds at an address.
#include <belay/io/sim/network.hpp>

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <stdexcept>

namespace belay::io::sim {
namespace {

constexpr std::string_view mapped_prefix = "::ffff:";

/// An IPv4 address that IPv6 sockets know as ::ffff:10.0.0.1, as what it is.
endpoint unmapped(const endpoint& e) {
    const std::string address = e.address();
    if (e.family() != endpoint::kind::ipv6 || !address.starts_with(mapped_prefix) || address.find('.') == address.npos) return e;
    return endpoint::parse(address.substr(mapped_prefix.size()) + ':' + std::to_string(e.port()));
}

bool is_path(const endpoint& e) { return e.is_unix() && !e.address().empty() && !e.address().starts_with('@'); }

}  // namespace

std::string host_of(std::string_view text) {
    std::string copy{text};
    const bool v6 = copy.find(':') != copy.npos;
    try {
        const endpoint found = unmapped(endpoint::parse(v6 ? '[' + copy + "]:1" : copy + ":1"));
        if (!found.is_unix() && !network::any_address(found)) return found.address();
    } catch (const std::invalid_argument&) {
        // its text would tell of a port
    }
    throw std::invalid_argument("belay: a simulated host is the address of one machine, like 10.0.0.1 or 2001:db8::1, and not '" +
                                copy + '\'');
}

endpoint network::with_port(const endpoint& where, std::uint16_t port) {
    if (where.family() == endpoint::kind::ipv6) return endpoint::parse('[' + where.address() + "]:" + std::to_string(port));
    return endpoint::parse(where.address() + ':' + std::to_string(port));
}

/// Of the host that connections come from.
endpoint network::client_at(endpoint::kind family, std::uint16_t port) const {
    const bool v6 = family == endpoint::kind::ipv6;
    return with_port(v6 ? endpoint::parse('[' + client_v6 + "]:0") : endpoint::parse(client + ":0"), port);
}

/// That no socket is bound to, whatever its address.
std::uint16_t network::free_port() {
    auto used = [this](std::uint16_t port) {
        return std::ranges::any_of(sockets_, [&](const auto& entry) {
            const socket& s = *entry.second;
            return !s.closed && !s.local.is_unix() && s.local.port() == port;
        });
    };
    std::uint16_t port = first_port;
    for (int tries = first_port; tries <= last_port; ++tries) {
        port = next_port_;
        next_port_ = port == last_port ? first_port : static_cast<std::uint16_t>(port + 1);
        if (!used(port)) break;
    }
    return port;
}

int network::option(const socket& s, int level, int name, int otherwise) {
    auto found = s.options.find({level, name});
    return found != s.options.end() ? found->second : otherwise;
}

/// Of a socket at [::]. Datagrams of IPv6 know IPv6 alone.
bool network::takes_v4(const socket& s) { return s.is_v6 && !s.datagrams && option(s, IPPROTO_IPV6, IPV6_V6ONLY) == 0; }

bool network::is_taken(const endpoint& where, const socket& by) const {
    const bool shared = option(by, SOL_SOCKET, SO_REUSEPORT) != 0;
    return std::ranges::any_of(sockets_, [&](const auto& entry) {
        const socket& s = *entry.second;
        const bool bound = by.datagrams ? s.local.port() != 0 : s.is == socket::state::listening;
        if (s.closed || s.dead || s.datagrams != by.datagrams || !bound || s.local.is_unix() != where.is_unix()) return false;
        if (where.is_unix()) return s.local == where;
        if (s.local.port() != where.port() || (shared && option(s, SOL_SOCKET, SO_REUSEPORT) != 0)) return false;
        if (s.local.family() == where.family())
            return any_address(s.local) || any_address(where) || s.local.address() == where.address();
        const bool is_v6 = where.family() == endpoint::kind::ipv6;
        return is_v6 ? any_address(where) && takes_v4(by) : any_address(s.local) && takes_v4(s);
    });
}

int network::bind(int fd, const endpoint& where) noexcept {
    socket* s = live(fd);
    if (s == nullptr) return -1;
    int error = 0;
    endpoint wanted = unmapped(where);
    if (!where.is_unix() && where.port() == 0) wanted = with_port(wanted, free_port());
    if (s->is != socket::state::fresh) {
        error = EINVAL;
    } else if (has_crashed(wanted)) {
        error = ENETDOWN;
    } else if (is_path(wanted)) {
        error = -files.make_socket(wanted.address(), fd);
    } else if (is_taken(wanted, *s)) {
        error = EADDRINUSE;
    }
    if (error == 0) s->local = wanted;
    errno = error;
    return error == 0 ? 0 : -1;
}

/// How well a listener fits: the best are those at the address itself, then those at all addresses of its family. 0: not at all.
int network::fit(const socket& listener, const endpoint& where) {
    if (listener.closed || listener.dead || listener.is != socket::state::listening) return 0;
    if (listener.local == where) return 3;
    if (where.is_unix() || listener.local.port() != where.port() || !any_address(listener.local)) return 0;
    if (listener.local.family() == where.family()) return 2;
    return where.family() == endpoint::kind::ipv4 && takes_v4(listener) ? 1 : 0;
}

/// Of several that fit best, one by the seed.
socket* network::listener_for(const endpoint& where) {
    if (is_path(where)) {
        const inode* at = files.find(where.address());
        socket* bound = at != nullptr ? find(at->socket) : nullptr;
        return bound != nullptr && fit(*bound, bound->local) != 0 ? bound : nullptr;
    }
    std::vector<socket*> found;
    int best = 1;
    for (auto& [fd, s] : sockets_) {
        const int fits = fit(*s, where);
        if (fits < best) continue;
        if (fits > best) found.clear();
        best = fits;
        found.push_back(s.get());
    }
    return found.empty() ? nullptr : found[sim_.draw(static_cast<std::uint32_t>(found.size()))];
}

/// What a connect finds that finds no listener.
int network::refusal(const endpoint& where) const {
    return is_path(where) && files.find(where.address()) == nullptr ? ENOENT : ECONNREFUSED;
}

/// Where a socket that is bound like this goes when it is sent there: 0.0.0.0 is the machine that it is on.
endpoint network::destination(const endpoint& from, const endpoint& to) {
    const endpoint there = unmapped(to);
    return any_address(there) ? with_port(from, there.port()) : there;
}

/// An address as the socket's owner sees it.
endpoint network::told(const socket& to, const endpoint& e) {
    if (!to.is_v6 || e.family() != endpoint::kind::ipv4) return e;
    return endpoint::parse('[' + std::string{mapped_prefix} + e.address() + "]:" + std::to_string(e.port()));
}

std::optional<endpoint> network::local_of(int fd) noexcept {
    socket* s = live(fd);
    return s != nullptr ? std::optional{told(*s, s->local)} : std::nullopt;
}

std::optional<endpoint> network::peer_of(int fd) noexcept {
    socket* s = live(fd);
    if (s == nullptr) return std::nullopt;
    if (s->is == socket::state::connected && !s->reset) return told(*s, s->remote);
    errno = ENOTCONN;
    return std::nullopt;
}

}  // namespace belay::io::sim
