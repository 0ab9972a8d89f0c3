// What is under way between simulated sockets.
#include <belay/io/sim/network.hpp>
#include <belay/runtime/detail/deadline.hpp>

#include <algorithm>
#include <cerrno>
#include <limits>

namespace belay::io::sim {

using belay::detail::saturating_add;

/// What cannot be represented is never.
std::int64_t network::after(std::chrono::nanoseconds delay) const { return saturating_add(sim_.clock().now_ns, delay.count()); }

/// At most so much, by the seed; of what is longer than 4 s in coarser steps than nanoseconds.
std::int64_t network::drawn(std::chrono::nanoseconds most) {
    const std::int64_t step_ns = 1 + most.count() / std::numeric_limits<std::uint32_t>::max();
    return step_ns * sim_.draw(static_cast<std::uint32_t>(most.count() / step_ns) + 1);
}

std::int64_t network::time_for(std::size_t bytes, const link_options& way) noexcept {
    return way.bytes_per_second != 0 ? static_cast<std::int64_t>(bytes * 1'000'000'000 / way.bytes_per_second) : 0;
}

/// To the other end.
void network::send(socket& from, packet what) {
    if (socket* to = find(from.peer)) enqueue(*to, std::move(what), link(from).latency.count());
}

/// What somebody says at the other end who knows nothing of the connection, to something that is sent now.
void network::answer_with_reset(socket& s) {
    const std::int64_t latency_ns = link(s).latency.count();
    enqueue(s, {packet::kind::reset, {}}, saturating_add(latency_ns, latency_ns));
}

/// It arrives behind what is under way to this socket already.
void network::enqueue(socket& to, packet what, std::int64_t latency_ns) {
    const link_options& way = link(to);
    const std::int64_t delay_ns = saturating_add(latency_ns, drawn(way.jitter));
    std::int64_t arrival_ns = std::max(saturating_add(sim_.clock().now_ns, delay_ns), to.last_arrival_ns);
    arrival_ns = saturating_add(arrival_ns, time_for(what.bytes.size(), way));
    to.last_arrival_ns = arrival_ns;
    to.bytes_arriving += what.bytes.size();
    to.arriving.push_back(std::move(what));
    // Whichever of several events comes first delivers the oldest packet.
    at(arrival_ns, "packet", [this, fd = to.fd] { arrive(fd); });
}

void network::arrive(int fd) {
    socket* s = find(fd);
    if (s == nullptr || s->arriving.empty()) return;
    if (is_cut(*s)) {
        ++s->held_back;
        return;
    }
    packet what = std::move(s->arriving.front());
    s->arriving.pop_front();
    s->bytes_arriving -= what.bytes.size();
    if (s->dead) return drop(*s);
    take_in(*s, std::move(what));
}

void network::take_in(socket& s, packet what) {
    socket* other = find(s.peer);
    s.heard_ns = sim_.clock().now_ns;
    if (other != nullptr) other->heard_ns = s.heard_ns;  // by the acknowledgement
    if (s.reset && what.what != packet::kind::open) {  // for a connection that is over, which is all that its sender learns
        if (other != nullptr && !other->reset && what.what != packet::kind::reset) send(s, {packet::kind::reset, {}});
        return drop(s);
    }
    switch (what.what) {
    case packet::kind::open: {
        socket* listener = listener_for(s.local);
        s.unborn = false;
        if (listener == nullptr) {  // it has gone meanwhile
            send(s, {packet::kind::reset, {}});
            s.closed = true;
            break;
        }
        s.is_v6 = listener->is_v6;
        listener->pending.push_back(s.fd);
        return progress(*listener);
    }
    case packet::kind::data:
        if (s.closed) {
            send(s, {packet::kind::reset, {}});  // nobody will read it, which the sender learns by that
        } else {
            s.inbox += what.bytes;
        }
        break;
    case packet::kind::end: s.end_arrived = true; break;
    case packet::kind::reset:
        s.reset = true;
        // Of an end that has arrived before, writers alone hear of it.
        s.error = s.end_arrived || s.is_pipe ? EPIPE : ECONNRESET;
        break;
    }
    progress(s);
    drop(s);
}

void network::break_off(socket& s) {
    socket* other = find(s.peer);
    for (socket* end : {&s, other}) {
        if (end == nullptr || end->reset) continue;
        at(sim_.clock().now_ns, "reset", [this, fd = end->fd] {
            if (socket* self = find(fd)) take_in(*self, {packet::kind::reset, {}});
        });
    }
}

std::size_t network::room_towards(const socket& from) noexcept {
    socket* to = find(from.peer);
    if (to == nullptr) return buffer;
    std::size_t used = to->inbox.size() + to->bytes_arriving;
    return used < buffer ? buffer - used : 0;
}

const link_options& network::link(const endpoint& from, const endpoint& to) const {
    if (links.empty()) return usual_link;
    auto found = links.find(between(from.address(), to.address()));
    return found != links.end() ? found->second : usual_link;
}

bool network::is_cut(const endpoint& from, const endpoint& to) const {
    return !cut.empty() && !to.is_unix() && cut.contains(between(from.address(), to.address()));
}

}  // namespace belay::io::sim
