// Datagrams between simulated sockets.
#include <belay/io/sim/network.hpp>
#include <belay/io/sim/sim_driver.hpp>
#include <belay/runtime/detail/deadline.hpp>

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <functional>
#include <string>

namespace belay::io::sim {
namespace {

using belay::detail::saturating_add;

constexpr std::size_t largest = 65'507;  // of UDP over IPv4

}  // namespace

/// Who is bound to no address sends from the client's host; and who has no port, from one that is its own from then on.
endpoint network::sender_of(const socket& s) {
    if (!any_address(s.local)) return s.local;
    return client_at(s.local.family(), s.local.port() != 0 ? s.local.port() : free_port());
}

/// A broadcast needs its option.
bool network::may_send(const socket& from, const endpoint& to) {
    return to.address() != "255.255.255.255" || option(from, SOL_SOCKET, SO_BROADCAST) != 0;
}

int network::connect_datagrams(int fd, const endpoint& peer) noexcept {
    socket* s = live(fd);
    if (s == nullptr) return -1;
    if (!s->datagrams) {
        errno = EOPNOTSUPP;
        return -1;
    }
    if (s->local.family() != peer.family()) {
        errno = ENETUNREACH;
        return -1;
    }
    if (!may_send(*s, peer)) {
        errno = EACCES;
        return -1;
    }
    s->local = sender_of(*s);
    s->remote = destination(s->local, peer);
    s->is = socket::state::connected;
    return 0;
}

network::result network::send_letter(socket& from, const io_operation& op) {
    if (auto error = std::exchange(from.error, 0); error != 0) return -error;
    const msghdr& message = *op.request.message;
    if (message.msg_name == nullptr && from.is != socket::state::connected) return -EDESTADDRREQ;
    endpoint to = message.msg_name != nullptr
                      ? endpoint::from_sockaddr(static_cast<const sockaddr*>(message.msg_name), message.msg_namelen)
                      : from.remote;
    if (to.family() != from.local.family()) return -ENETUNREACH;
    if (to.port() == 0) return -EINVAL;
    if (!may_send(from, to)) return -EACCES;
    std::string bytes;
    for (std::size_t i = 0; i < message.msg_iovlen; ++i)
        bytes.append(static_cast<const char*>(message.msg_iov[i].iov_base), message.msg_iov[i].iov_len);
    if (bytes.size() > largest) return -EMSGSIZE;
    const auto size = static_cast<std::int32_t>(bytes.size());

    const endpoint sender = sender_of(from);
    to = destination(sender, to);
    if (from.local.port() == 0) from.local = sender;  // but who is bound to all addresses remains so
    if (has_crashed(sender)) return -ENETDOWN;
    if (injected(faults.lost)) return size;
    if (injected(faults.duplicated)) post_letter(from.fd, sender, to, bytes);
    post_letter(from.fd, sender, to, std::move(bytes));
    return size;
}

void network::post_letter(int sender, const endpoint& from, const endpoint& to, std::string bytes) {
    const link_options& way = link(from, to);
    std::int64_t arrival_ns = saturating_add(after(way.latency), drawn(way.jitter));
    arrival_ns = saturating_add(arrival_ns, time_for(bytes.size(), way));
    at(arrival_ns, "datagram", [this, sender, what = letter{std::move(bytes), from}, to] { deliver_letter(sender, what, to); });
}

void network::deliver_letter(int sender, const letter& what, const endpoint& to) {
    if (is_cut(what.from, to) || has_crashed(to)) return;  // lost
    // The one that is connected to the sender goes before those that are bound to the address, and these before those for any.
    std::vector<socket*> found;
    int best = 0;
    bool somebody = false;
    for (auto& [fd, s] : sockets_) {
        if (s->closed || s->dead || !s->datagrams || s->local.family() != to.family() || s->local.port() != to.port()) continue;
        if (s->local != to && !any_address(s->local)) continue;
        somebody = true;
        const bool connected = s->is == socket::state::connected;
        if (connected && s->remote != what.from) continue;
        const int fits = connected ? 3 : s->local == to ? 2 : 1;
        if (fits > best) found.clear();
        best = std::max(best, fits);
        if (fits == best) found.push_back(s.get());
    }
    if (found.empty()) {
        if (!somebody) refuse_letter(sender, what.from, to);
        return;
    }
    // Of those that share it, always the same one for a sender.
    const std::size_t chosen = std::hash<std::string>{}(what.from.to_string()) % found.size();
    socket& taker = *found[chosen];
    if (!taker.letters.empty() && taker.letter_bytes + what.bytes.size() > buffer) return;  // no room: lost
    taker.letter_bytes += what.bytes.size();
    taker.letters.push_back(what);
    progress(taker);
}

/// The host says that nobody has the port, of which only a sender hears that is connected there.
void network::refuse_letter(int sender, const endpoint& from, const endpoint& to) {
    auto connected_there = [this, sender, to]() -> socket* {
        socket* s = find(sender);
        return s != nullptr && !s->dead && s->is == socket::state::connected && s->remote == to ? s : nullptr;
    };
    if (connected_there() == nullptr) return;
    at(after(link(from, to).latency), "port unreachable", [this, connected_there, from, to] {
        socket* s = connected_there();
        if (s == nullptr || is_cut(from, to)) return;
        s->error = ECONNREFUSED;
        progress(*s);
    });
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
