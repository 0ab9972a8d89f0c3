#include "connection.hpp"

#include <belay/runtime/shield.hpp>
#include <belay/runtime/timeout.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>
#include <system_error>

namespace kv {
namespace {

using namespace std::chrono_literals;
namespace io = belay::io;

bool is_hang_up(const std::error_code& error) noexcept {
    return error == std::errc::connection_reset || error == std::errc::broken_pipe || error == std::errc::timed_out ||
           error == std::errc::not_connected;
}

belay::task<> discard(io::tcp_stream& peer, std::size_t most) {
    std::array<std::byte, 4096> ignored;
    for (std::size_t n = 1; n > 0 && most > 0; most -= std::min(most, n)) n = co_await peer.read_some(ignored);
}

// Closing a socket that holds unread bytes resets the connection, and a reset makes the peer lose what it has not read yet:
// the very sentence that says why. So the peer gets a moment to read it and to close.
belay::task<> close_gently(io::tcp_stream& peer) {
    peer.shutdown(io::shutdown_side::write);
    co_await belay::try_timeout(1s, discard(peer, 1024 * 1024));
}

belay::task<> converse(io::tcp_stream& peer, conversation& talk, std::chrono::milliseconds idle) {
    for (;;) {
        const turn step = talk.run(clock_now());
        if (!talk.replies().empty()) {
            co_await belay::shield(peer.write_all(talk.replies()));
            talk.replied();
        }
        if (step.next == next_step::close) co_return co_await close_gently(peer);
        if (step.next == next_step::again) continue;

        std::size_t received = 0;
        if (idle == 0ms) {
            received = co_await peer.read_some(talk.room(step.wanted));
        } else {
            received = (co_await belay::try_timeout(idle, peer.read_some(talk.room(step.wanted)))).value_or(0);
        }
        if (received == 0) co_return;
        talk.received(received);
    }
}

}  // namespace

belay::task<> serve_connection(io::tcp_stream peer, conversation talk, std::chrono::milliseconds idle) {
    try {
        co_await converse(peer, talk, idle);
    } catch (const std::system_error& error) {
        if (!is_hang_up(error.code())) throw;  // a peer that hangs up is no error of ours; anything else is reported
    }
}

}  // namespace kv
