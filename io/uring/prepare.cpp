#include <belay/io/uring/prepare.hpp>

#include <liburing.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>

namespace belay::detail::uring {
namespace {

// The kernel transfers no more than this at once (MAX_RW_COUNT), and the entry's length has only 32 bits.
unsigned clamp_length(std::size_t length) noexcept { return static_cast<unsigned>(std::min<std::size_t>(length, 0x7ffff000)); }

bool is_outgoing(io_opcode opcode) noexcept {
    return opcode == io_opcode::send || opcode == io_opcode::sendmsg || opcode == io_opcode::write ||
           opcode == io_opcode::connect;
}

bool caller_refuses_to_wait(const io_request& request) noexcept {
    switch (request.opcode) {
    case io_opcode::recv:
    case io_opcode::send:
    case io_opcode::recvmsg:
    case io_opcode::sendmsg: return request.flags & MSG_DONTWAIT;
    default: return false;
    }
}

}  // namespace

void prepare(io_uring_sqe& sqe, const io_request& r, std::uint64_t user_data) noexcept {
    // A write to a connection that the peer closed must be an error, not the death of the process.
    auto send_flags = static_cast<unsigned>(r.flags | MSG_NOSIGNAL);
    auto flags = static_cast<unsigned>(r.flags);
    auto offset = static_cast<std::uint64_t>(r.offset);
    switch (r.opcode) {
    case io_opcode::nop: ::io_uring_prep_nop(&sqe); break;
    case io_opcode::poll: ::io_uring_prep_poll_add(&sqe, r.fd, flags); break;
    case io_opcode::accept: ::io_uring_prep_accept(&sqe, r.fd, r.address, r.address_length, r.flags); break;
    case io_opcode::connect: ::io_uring_prep_connect(&sqe, r.fd, r.address, r.connect_length); break;
    case io_opcode::recv:
        ::io_uring_prep_recv(&sqe, r.fd, r.buffer, clamp_length(r.length), r.flags);
        if (!r.expect_ready) sqe.ioprio |= IORING_RECVSEND_POLL_FIRST;  // spares an attempt that would find nothing
        break;
    case io_opcode::send: ::io_uring_prep_send(&sqe, r.fd, r.buffer, clamp_length(r.length), static_cast<int>(send_flags)); break;
    case io_opcode::recvmsg:
        ::io_uring_prep_recvmsg(&sqe, r.fd, r.message, flags);
        if (!r.expect_ready) sqe.ioprio |= IORING_RECVSEND_POLL_FIRST;
        break;
    case io_opcode::sendmsg: ::io_uring_prep_sendmsg(&sqe, r.fd, r.message, send_flags); break;
    case io_opcode::read: ::io_uring_prep_read(&sqe, r.fd, r.buffer, clamp_length(r.length), offset); break;
    case io_opcode::write: ::io_uring_prep_write(&sqe, r.fd, r.buffer, clamp_length(r.length), offset); break;
    }
    sqe.user_data = user_data;
}

void prepare_readiness(io_uring_sqe& sqe, const io_request& request, std::uint64_t user_data) noexcept {
    ::io_uring_prep_poll_add(&sqe, request.fd, is_outgoing(request.opcode) ? POLLOUT : POLLIN);
    sqe.user_data = user_data;
}

void prepare_cancel(io_uring_sqe& sqe, std::uint64_t target, std::uint64_t user_data) noexcept {
    ::io_uring_prep_cancel64(&sqe, target, 0);
    sqe.flags |= IOSQE_CQE_SKIP_SUCCESS;  // only the target's own completion counts
    sqe.user_data = user_data;
}

void prepare_multishot_poll(io_uring_sqe& sqe, int fd, std::uint64_t user_data) noexcept {
    ::io_uring_prep_poll_multishot(&sqe, fd, POLLIN);
    sqe.user_data = user_data;
}

retry retry_after(const io_request& request, std::int32_t result) noexcept {
    switch (result) {
    // The kernel gives up what a thread had submitted when that thread ends, and a rescuer may submit for a neighbour. Not
    // for reads: they can mean it (a timerfd with TFD_TIMER_CANCEL_ON_SET says that the clock was set).
    case -ECANCELED: return request.opcode == io_opcode::read ? retry::no : retry::at_once;
    // An interrupted connect goes on by itself: asking again would report EALREADY.
    case -EINTR: return request.opcode == io_opcode::connect ? retry::no : retry::at_once;
    case -EAGAIN:
        // O_NONBLOCK on a file of a kind whose reads the ring cannot retry (inotify, some drivers). The caller
        // was promised to be suspended, so the ring waits for readiness first. connect: a full Unix backlog, an answer.
        if (caller_refuses_to_wait(request) || request.opcode == io_opcode::connect || request.opcode == io_opcode::poll ||
            request.opcode == io_opcode::nop)
            return retry::no;
        return retry::when_ready;
    default: return retry::no;
    }
}

bool socket_nonempty(std::uint32_t cqe_flags) noexcept { return cqe_flags & IORING_CQE_F_SOCK_NONEMPTY; }
bool has_more(std::uint32_t cqe_flags) noexcept { return cqe_flags & IORING_CQE_F_MORE; }

}  // namespace belay::detail::uring
