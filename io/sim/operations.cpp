// Operations on simulated sockets: what can be done is done at once, and told in a later step.
#include <belay/io/asio_driver/impl/attempt.hpp>
#include <belay/io/sim/network.hpp>
#include <belay/io/sim/sim_driver.hpp>

#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>

namespace belay::io::sim {
namespace {

constexpr int most_tries = 7;  // further ones of a connect, so it ends after 127 s
constexpr std::int64_t first_pause_ns = 1'000'000'000;
constexpr std::size_t largest_whole = PIPE_BUF;  // of a pipe: such a write is never split
constexpr std::size_t most_bytes = 0x7fff'f000;

/// The buffers of an operation that reads or writes.
struct buffers {
    explicit buffers(const io_request& r) : single{r.buffer, r.length} {
        bool message = r.opcode == io_opcode::recvmsg || r.opcode == io_opcode::sendmsg;
        parts = message ? r.message->msg_iov : &single;
        count = message ? r.message->msg_iovlen : 1;
    }
    iovec single;
    const iovec* parts;
    std::size_t count;
};

std::size_t total(const iovec* parts, std::size_t count) noexcept {
    std::size_t bytes = 0;
    for (std::size_t i = 0; i < count; ++i) bytes += parts[i].iov_len;
    return std::min(bytes, most_bytes);
}

}  // namespace

void network::happening::happen() noexcept {
    auto then = std::move(then_);
    of_.agenda_.erase(self);  // this
    then();
}

void network::at(std::int64_t when_ns, const char* what, std::function<void()> then) {
    auto one = agenda_.emplace(agenda_.end(), *this, what, std::move(then));
    one->self = one;
    sim_.post(*one, when_ns);
}

bool network::injected(std::uint32_t rarity) { return rarity != 0 && sim_.choose(2, rarity) != 0; }

std::size_t network::perhaps_fewer(std::size_t bytes, std::uint32_t rarity) {
    if (bytes < 2 || !injected(rarity)) return bytes;
    return 1 + sim_.draw(static_cast<std::uint32_t>(std::min<std::size_t>(bytes - 1, 1'000'000)));
}

// ---- operations ------------------------------------------------------------------------------------------------

void network::submit(io_operation& op) noexcept {
    auto& port = *static_cast<sim_port*>(op.driver_data);
    const io_request& request = op.request;
    if (request.opcode == io_opcode::nop) return port.finish_later(op, 0);
    if (request.fd < 0) return port.finish_later(op, -EBADF);
    if (!is_simulated(request.fd)) {
        outside_.push_back(&op);
        return sim_.set_lookout(this);
    }
    socket* s = live(request.fd);
    const bool is_file = files.has(request.fd);
    if (s == nullptr && !is_file) return port.finish_later(op, -EBADF);
    if (auto& errors = scripted[request.opcode]; !errors.empty()) {
        int error = errors.front();
        errors.pop_front();
        if ((error == EINTR || error == EINPROGRESS) && request.opcode == io_opcode::connect && !is_file) {
            // Such a connect goes on by itself, and tells SO_ERROR how it ends.
            if (auto ended = begin_connect(op, *s); ended && s->is == socket::state::fresh) s->error = -*ended;
        }
        return port.finish_later(op, -error);
    }
    if (is_file) return files.submit(op);
    bool writes = false;
    switch (request.opcode) {
    case io_opcode::connect:
    case io_opcode::send:
    case io_opcode::sendmsg:
    case io_opcode::write: writes = true; break;
    default: break;
    }
    auto& queue = request.opcode == io_opcode::poll ? s->pollers : writes ? s->writers : s->readers;
    if (queue.empty() || request.opcode == io_opcode::poll) {
        if (auto done = attempt(op, *s)) return port.finish_later(op, *done);
    }
    queue.push_back(&op);
}

/// The descriptors of the operating system are tried before each step: what the program itself does to them (a signal that it raises, a
/// pipe that it writes to) comes at the same step in each run.
void network::look() noexcept {
    std::erase_if(outside_, [](io_operation* op) {
        std::int32_t done = belay::detail::attempt(*op);
        if (done == belay::detail::not_yet) return false;
        static_cast<sim_port*>(op->driver_data)->finish_later(*op, done);
        return true;
    });
    if (outside_.empty()) sim_.set_lookout(nullptr);
}

void network::cancel(io_operation& op) noexcept {
    if (auto found = std::ranges::find(outside_, &op); found != outside_.end()) {
        outside_.erase(found);
        return static_cast<sim_port*>(op.driver_data)->finish_later(op, -ECANCELED);
    }
    if (files.cancel(op)) return;
    socket* s = find(op.request.fd);
    if (s == nullptr) return;
    for (auto* queue : {&s->readers, &s->writers, &s->pollers}) {
        auto found = std::ranges::find(*queue, &op);
        if (found == queue->end()) continue;
        queue->erase(found);
        static_cast<sim_port*>(op.driver_data)->finish_later(op, -ECANCELED);
        if (op.request.opcode == io_opcode::connect) s->is = socket::state::fresh;
        return drop(*s);
    }
}

network::result network::attempt(io_operation& op, socket& s) {
    const io_request& request = op.request;
    // As if nobody listened, which ends a loop of accepts.
    if (s.dead) return request.opcode == io_opcode::accept ? -EINVAL : -ENETDOWN;
    if (s.datagrams) {
        if (request.opcode == io_opcode::sendmsg) return send_letter(s, op);
        if (request.opcode == io_opcode::recvmsg) return receive_letter(op, s);
        if (request.opcode != io_opcode::poll) return -EOPNOTSUPP;
    }
    buffers data{request};
    switch (request.opcode) {
    case io_opcode::recv:
    case io_opcode::recvmsg:
    case io_opcode::read: return read(op, s, data.parts, data.count, request.flags);
    case io_opcode::send:
    case io_opcode::sendmsg:
    case io_opcode::write: return write(s, data.parts, data.count);
    case io_opcode::accept: return accept(op, s);
    case io_opcode::connect: return begin_connect(op, s);
    case io_opcode::poll: {
        int found = events(s, request.flags);
        return found != 0 ? result{found} : std::nullopt;
    }
    case io_opcode::nop: break;
    }
    return 0;
}

/// What a connection that was reset says: its error once.
std::optional<std::int32_t> network::told_error(socket& s) noexcept {
    if (!s.reset || s.error == 0) return std::nullopt;
    return -std::exchange(s.error, 0);
}

network::result network::read(io_operation& op, socket& s, const iovec* parts, std::size_t count, int flags) {
    if (s.is != socket::state::connected) return -ENOTCONN;
    if (s.is_pipe && s.read_shut) return -EBADF;  // the end for writing
    if (s.inbox.empty()) {
        if (s.end_arrived || s.read_shut) return 0;
        if (auto error = told_error(s)) return error;
        return s.reset ? result{0} : std::nullopt;
    }
    if (!s.reset && !s.is_local() && injected(faults.reset)) {
        break_off(s);
        return -ECONNRESET;
    }
    std::size_t bytes = perhaps_fewer(std::min(total(parts, count), s.inbox.size()), faults.short_transfer);
    std::size_t copied = 0;
    for (std::size_t i = 0; i < count && copied < bytes; ++i) {
        std::size_t part = std::min(parts[i].iov_len, bytes - copied);
        std::memcpy(parts[i].iov_base, s.inbox.data() + copied, part);
        copied += part;
    }
    if ((flags & MSG_PEEK) == 0) s.inbox.erase(0, copied);
    op.socket_nonempty = !s.inbox.empty();
    if (socket* other = find(s.peer)) run_queue(other->writers, *other);  // there is room again
    return static_cast<std::int32_t>(copied);
}

network::result network::write(socket& s, const iovec* parts, std::size_t count) {
    if (s.is != socket::state::connected) return -ENOTCONN;
    if (s.is_pipe && s.write_shut) return -EBADF;  // the end for reading
    if (auto error = told_error(s)) return error;
    if (s.reset || s.write_shut) return -EPIPE;
    socket* other = find(s.peer);
    if (has_crashed(s.remote)) return write_to_nobody(s, total(parts, count));
    if (other == nullptr || other->closed || other->dead) {
        if (s.remote.is_unix()) return -EPIPE;
        // Who does not know yet that the other end has gone is told by its answer: this write succeeds, one after that does not.
        answer_with_reset(s);
        return static_cast<std::int32_t>(total(parts, count));
    }
    if (!s.is_local() && injected(faults.reset)) {
        break_off(s);
        return -ECONNRESET;
    }
    const std::size_t wanted = total(parts, count);
    const std::size_t room = room_towards(s);
    const bool whole = s.is_pipe && wanted <= std::min(largest_whole, buffer);  // or not at all
    std::size_t bytes = whole ? (wanted <= room ? wanted : 0) : perhaps_fewer(std::min(wanted, room), faults.short_transfer);
    if (bytes == 0) return wanted == 0 ? result{0} : std::nullopt;
    packet what{packet::kind::data, {}};
    for (std::size_t i = 0; i < count && what.bytes.size() < bytes; ++i)
        what.bytes.append(static_cast<const char*>(parts[i].iov_base), std::min(parts[i].iov_len, bytes - what.bytes.size()));
    send(s, std::move(what));
    return static_cast<std::int32_t>(bytes);
}

network::result network::accept(const io_operation& op, socket& s) {
    if (s.is != socket::state::listening) return -EINVAL;
    if (s.pending.empty()) return std::nullopt;
    if (injected(faults.no_descriptor)) return -EMFILE;
    int fd = s.pending.front();
    s.pending.pop_front();
    if (!s.is_local() && injected(faults.aborted)) {
        if (socket* gone = find(fd)) {
            break_off(*gone);
            gone->closed = true;
            drop(*gone);
        }
        return -ECONNABORTED;
    }
    const io_request& request = op.request;
    if (request.address != nullptr) {
        const endpoint from = told(s, find(fd)->remote);
        std::memcpy(request.address, from.data(), std::min(*request.address_length, from.size()));
        *request.address_length = from.size();
    }
    return fd;
}

network::result network::begin_connect(const io_operation& op, socket& s) {
    if (s.is == socket::state::connected) return -EISCONN;
    if (s.is != socket::state::fresh) return -EALREADY;
    const endpoint given = endpoint::from_sockaddr(op.request.address, op.request.connect_length);
    s.remote = destination(client_at(given.family(), 0), given);
    if (!s.remote.is_unix()) s.local = client_at(s.remote.family(), free_port());
    if (has_crashed(s.local)) return -ENETDOWN;
    if (injected(faults.refused)) return -ECONNREFUSED;
    s.is = socket::state::connecting;
    s.connect_tries = 0;
    at(after(link(s).latency), "connect", [this, fd = s.fd] { knock(fd); });
    return std::nullopt;
}

/// A connection arrives at where somebody may listen. Who gets no answer asks again, as Linux does: after 1, 2, 4 to 64 s.
void network::knock(int fd) {
    socket* s = find(fd);
    if (s == nullptr || s->dead || s->is != socket::state::connecting) return;
    const bool silent = is_silent(*s);
    socket* listener = silent ? nullptr : listener_for(s->remote);
    if (silent || (listener != nullptr && listener->pending.size() >= listener->backlog)) {
        if (s->connect_tries == most_tries) return answer(*s, ETIMEDOUT);
        std::int64_t pause_ns = first_pause_ns << s->connect_tries++;
        return at(after(std::chrono::nanoseconds{pause_ns}), "connect again", [this, fd] { knock(fd); });
    }
    int error = listener != nullptr ? 0 : refusal(s->remote);
    if (s->remote.is_unix()) return answer(*s, error);
    at(after(link(*s).latency), "connected", [this, fd, error] {
        socket* self = find(fd);
        if (self == nullptr || self->dead || self->is != socket::state::connecting) return;
        is_silent(*self) ? knock(fd) : answer(*self, error);
    });
}

/// The connect ends. If well, its last packet makes the connection at the other end.
void network::answer(socket& s, int error) {
    s.is = error == 0 ? socket::state::connected : socket::state::fresh;
    s.error = error;
    s.heard_ns = sim_.clock().now_ns;
    if (error == 0) {
        socket& accepted = make();
        accepted.is = socket::state::connected;
        accepted.unborn = true;
        accepted.local = s.remote;
        accepted.remote = s.local;
        accepted.peer = s.fd;
        s.peer = accepted.fd;
        packet open{packet::kind::open, {}};
        s.remote.is_unix() ? take_in(accepted, std::move(open)) : send(s, std::move(open));
    }
    for (io_operation* op : std::exchange(s.writers, {})) static_cast<sim_port*>(op->driver_data)->finish_later(*op, -error);
    progress(s);
}

int network::events(socket& s, int mask) {
    int found = 0;
    bool readable = !s.inbox.empty() || s.end_arrived || s.read_shut || !s.pending.empty() || !s.letters.empty();
    bool writable = s.datagrams || (s.is == socket::state::connected && !s.write_shut && room_towards(s) != 0);
    if (readable) found |= POLLIN | POLLRDNORM;
    if (writable) found |= POLLOUT | POLLWRNORM;
    if (s.end_arrived) found |= POLLRDHUP;
    found &= mask;
    if (s.error != 0) found |= POLLERR;
    if (s.reset || s.error != 0) found |= POLLHUP | (mask & (POLLIN | POLLOUT));
    if (s.end_arrived && s.write_shut) found |= POLLHUP;
    return found;
}

/// Something has changed at the socket: whoever waits at it may go on.
void network::progress(socket& s) {
    run_queue(s.readers, s);
    run_queue(s.writers, s);
    for (std::size_t i = 0; i < s.pollers.size();) {
        io_operation* op = s.pollers[i];
        auto done = attempt(*op, s);
        if (!done) {
            ++i;
            continue;
        }
        s.pollers.erase(s.pollers.begin() + static_cast<std::ptrdiff_t>(i));
        static_cast<sim_port*>(op->driver_data)->finish_later(*op, *done);
    }
}

void network::run_queue(std::deque<io_operation*>& queue, socket& s) {
    while (!queue.empty()) {
        io_operation* op = queue.front();
        if (op->request.opcode == io_opcode::connect) return;  // its answer ends it
        auto done = attempt(*op, s);
        if (!done) return;
        queue.pop_front();
        static_cast<sim_port*>(op->driver_data)->finish_later(*op, *done);
    }
}

}  // namespace belay::io::sim
