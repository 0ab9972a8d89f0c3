// Datagrams between simulated sockets.
#include <belay/io/sim/network.hpp>
#include <belay/io/sim/sim_driver.hpp>

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>

namespace belay::io::sim {
namespace {

constexpr std::size_t largest = 65'507;  // of UDP over IPv4

}  // namespace

/// Who sends without having bound does so from the client's host, and from a port that is its own from then on.
void network::name_sender(socket& s, const endpoint& peer) {
    if (s.local.port() != 0 && !any_address(s.local)) return;
    const bool v6 = peer.family() == endpoint::kind::ipv6;
    const auto port = s.local.port() != 0 ? s.local.port() : next_port_++;
    s.local = endpoint::parse((v6 ? '[' + client_v6 + "]:" : client + ':') + std::to_string(port));
}

int network::connect_datagrams(int fd, const endpoint& peer) noexcept {
    socket* s = live(fd);
    if (s == nullptr) return -1;
    if (!s->datagrams) {
        errno = EOPNOTSUPP;
        return -1;
    }
    if (s->local.family() != peer.family()) {
        errno = EAFNOSUPPORT;
        return -1;
    }
    name_sender(*s, peer);
    s->remote = peer;
    s->is = socket::state::connected;
    return 0;
}

network::result network::send_letter(socket& from, const io_operation& op) {
    if (auto error = std::exchange(from.error, 0); error != 0) return -error;
    const msghdr& message = *op.request.message;
    if (message.msg_name == nullptr && from.is != socket::state::connected) return -EDESTADDRREQ;
    const endpoint to = message.msg_name != nullptr
                            ? endpoint::from_sockaddr(static_cast<const sockaddr*>(message.msg_name), message.msg_namelen)
                            : from.remote;
    if (to.family() != from.local.family()) return -EAFNOSUPPORT;
    std::string bytes;
    for (std::size_t i = 0; i < message.msg_iovlen; ++i)
        bytes.append(static_cast<const char*>(message.msg_iov[i].iov_base), message.msg_iov[i].iov_len);
    if (bytes.size() > largest) return -EMSGSIZE;
    const auto size = static_cast<std::int32_t>(bytes.size());

    endpoint sender = from.local;
    if (from.local.port() == 0 || any_address(from.local)) {
        socket named;  // one that is bound to all addresses remains so
        named.local = from.local;
        name_sender(named, to);
        sender = named.local;
        if (from.local.port() == 0) from.local = sender;
    }
    if (injected(faults.lost)) return size;
    if (injected(faults.duplicated)) post_letter(from.fd, sender, to, bytes);
    post_letter(from.fd, sender, to, std::move(bytes));
    return size;
}

void network::post_letter(int sender, const endpoint& from, const endpoint& to, std::string bytes) {
    const link_options& way = link(from, to);
    auto jitter = static_cast<std::uint32_t>(
        std::clamp<std::int64_t>(way.jitter.count(), 0, std::numeric_limits<std::uint32_t>::max() - 1));
    std::int64_t delay_ns = way.latency.count() + sim_.draw(jitter + 1);
    if (way.bytes_per_second != 0) delay_ns += static_cast<std::int64_t>(bytes.size() * 1'000'000'000 / way.bytes_per_second);
    at(sim_.clock().now_ns + delay_ns, "datagram",
       [this, sender, what = letter{std::move(bytes), from}, to] { deliver_letter(sender, what, to); });
}

void network::deliver_letter(int sender, const letter& what, const endpoint& to) {
    if (is_cut(what.from, to) || has_crashed(to)) return;  // lost
    std::vector<socket*> found;
    bool somebody = false;
    for (auto& [fd, s] : sockets_) {
        if (s->closed || s->dead || !s->datagrams || s->local.family() != to.family() || s->local.port() != to.port()) continue;
        if (s->local != to && !any_address(s->local)) continue;
        somebody = true;
        if (s->is != socket::state::connected || s->remote == what.from) found.push_back(s.get());
    }
    if (found.empty()) {
        // The host says that nobody has the port, of which only a connected sender hears.
        socket* from = somebody ? nullptr : find(sender);
        if (from == nullptr || from->is != socket::state::connected) return;
        at(sim_.clock().now_ns + link(what.from, to).latency.count(), "port unreachable", [this, sender] {
            socket* self = find(sender);
            if (self == nullptr || self->dead) return;
            self->error = ECONNREFUSED;
            progress(*self);
        });
        return;
    }
    socket& taker = *found[sim_.draw(static_cast<std::uint32_t>(found.size()))];
    if (!taker.letters.empty() && taker.letter_bytes + what.bytes.size() > buffer) return;  // no room: lost
    taker.letter_bytes += what.bytes.size();
    taker.letters.push_back(what);
    progress(taker);
}

network::result network::receive_letter(io_operation& op, socket& s) {
    if (auto error = std::exchange(s.error, 0); error != 0) return -error;
    if (s.letters.empty()) return std::nullopt;
    msghdr& message = *op.request.message;
    const bool peeks = (op.request.flags & MSG_PEEK) != 0;
    const letter what = s.letters.front();
    std::size_t copied = 0;
    for (std::size_t i = 0; i < message.msg_iovlen && copied < what.bytes.size(); ++i) {
        const std::size_t part = std::min(message.msg_iov[i].iov_len, what.bytes.size() - copied);
        std::memcpy(message.msg_iov[i].iov_base, what.bytes.data() + copied, part);
        copied += part;
    }
    message.msg_flags = copied < what.bytes.size() ? MSG_TRUNC : 0;
    if (message.msg_name != nullptr) {
        std::memcpy(message.msg_name, what.from.data(), std::min(message.msg_namelen, what.from.size()));
        message.msg_namelen = what.from.size();
    }
    if (!peeks) {
        s.letter_bytes -= what.bytes.size();
        s.letters.pop_front();
    }
    op.socket_nonempty = !s.letters.empty();
    return static_cast<std::int32_t>(copied);
}

}  // namespace belay::io::sim
