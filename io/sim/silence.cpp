// Other ends that do not answer: their host has crashed, or there is a partition in between.
#include <belay/io/sim/network.hpp>
#include <belay/runtime/detail/deadline.hpp>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>

namespace belay::io::sim {
namespace {

using belay::detail::saturating_add;

constexpr std::int64_t second_ns = 1'000'000'000;
constexpr std::chrono::seconds patience{924};  // for an answer to what was sent; Linux's tcp_retries2

}  // namespace

/// What is written is kept for a while.
network::result network::write_to_nobody(socket& s, std::size_t bytes) {
    if (s.unanswered >= buffer) return std::nullopt;
    wait_for_answer(s, bytes);
    return static_cast<std::int32_t>(bytes);
}

/// After the restart somebody answers, see restart().
void network::wait_for_answer(socket& s, std::size_t bytes) {
    if (s.unanswered == 0)
        at(after(patience), "gives up", [this, fd = s.fd] {
            if (socket* self = find(fd); self != nullptr && self->unanswered != 0) give_up(*self);
        });
    s.unanswered += bytes;
}

void network::give_up(socket& s) {
    if (s.reset) return;
    s.reset = true;
    s.error = ETIMEDOUT;
    progress(s);
}

// ---- keep-alive ------------------------------------------------------------------------------------------------
// A kernel asks an idle peer again and again. Here the questions that are answered are left out, or no simulation would ever come to
// rest: they begin once the other end is silent, at the time at which the next one would have come.

/// The other end does not know of the connection any more, and would say so.
bool network::is_forgotten(const socket& s) {
    const socket* other = find(s.peer);
    return other == nullptr || other->dead || other->reset;
}

/// Something may have made the other end silent. Who has had its end has nothing to ask.
void network::watch(socket& s) {
    if (s.watched || s.closed || s.dead || s.reset || s.end_arrived || s.datagrams || s.is_local()) return;
    if (s.is != socket::state::connected || option(s, SOL_SOCKET, SO_KEEPALIVE) == 0) return;
    if (!is_silent(s) && !is_forgotten(s)) return;
    s.watched = true;
    const std::int64_t idle_ns = idle_of(s);
    s.heard_ns += (sim_.clock().now_ns - s.heard_ns) / idle_ns * idle_ns;  // until now all questions were answered
    ask(s.fd, 0);
}

std::int64_t network::idle_of(const socket& s) { return option(s, IPPROTO_TCP, TCP_KEEPIDLE, 7200) * second_ns; }

/// Asks when it is time. `asked`: questions that had no answer.
void network::ask(int fd, int asked) {
    socket* s = find(fd);
    if (s == nullptr || s->closed || s->dead || s->reset) return;
    const std::int64_t now_ns = sim_.clock().now_ns;
    const std::int64_t first_ns = saturating_add(s->heard_ns, idle_of(*s));
    auto again = [&](std::int64_t when_ns, int unanswered) {
        at(when_ns, "keep-alive", [this, fd, unanswered] { ask(fd, unanswered); });
    };
    const bool silent = is_silent(*s);
    const bool wanted = !s->end_arrived && option(*s, SOL_SOCKET, SO_KEEPALIVE) != 0;
    if (wanted && (silent || is_forgotten(*s)) && now_ns < first_ns) return again(first_ns, 0);
    if (wanted && silent && is_answer_due(*s)) {
        // What was sent is repeated instead, for much longer.
        at(after(patience), "gives up", [this, fd, heard_ns = s->heard_ns] {
            socket* self = find(fd);
            if (self != nullptr && !self->dead && self->heard_ns == heard_ns && is_silent(*self)) give_up(*self);
        });
    } else if (wanted && silent) {
        if (asked >= option(*s, IPPROTO_TCP, TCP_KEEPCNT, 9)) return give_up(*s);
        return again(saturating_add(now_ns, option(*s, IPPROTO_TCP, TCP_KEEPINTVL, 75) * second_ns), asked + 1);
    } else if (wanted && is_forgotten(*s)) {
        answer_with_reset(*s);
    }
    s->watched = false;
}

/// Something that was sent has not arrived.
bool network::is_answer_due(const socket& s) {
    const socket* other = find(s.peer);
    return s.unanswered != 0 || (other != nullptr && !other->arriving.empty());
}

}  // namespace belay::io::sim
