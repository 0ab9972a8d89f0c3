#include "connection.hpp"

#include <belay/runtime/blocking.hpp>
#include <belay/runtime/shield.hpp>
#include <belay/runtime/timeout.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <system_error>

namespace kv {
namespace {

using namespace std::chrono_literals;
namespace io = belay::io;

// From so many received bytes on, their commands run and their buffer grows in the blocking pool: both copy, and the worker
// would serve nobody else meanwhile.
constexpr std::size_t much = 4 * 1024 * 1024;

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

// 0: the peer has closed, or sent nothing for so long.
belay::task<std::size_t> read_within(io::tcp_stream& peer, std::span<std::byte> room, std::chrono::milliseconds idle) {
    co_return (co_await belay::try_timeout(idle, peer.read_some(room))).value_or(0);
}

// False: the peer took nothing for so long.
belay::task<bool> write_within(io::tcp_stream& peer, std::span<const std::span<const std::byte>> pieces,
                               std::chrono::milliseconds idle) {
    for (std::span<const std::byte> rest : pieces) {
        while (!rest.empty()) {
            const auto taken = co_await belay::try_timeout(idle, peer.write_some(rest));
            if (!taken) co_return false;
            rest = rest.subspan(*taken);
        }
    }
    co_return true;
}

// Counts itself if the frame that it lives in is destroyed before the replies were written: the grace was too short.
class replies_due {
public:
    explicit replies_due(std::atomic<std::uint64_t>& cut) noexcept : cut_(&cut) {}
    replies_due(const replies_due&) = delete;
    replies_due& operator=(const replies_due&) = delete;
    ~replies_due() {
        if (cut_) cut_->fetch_add(1, std::memory_order_relaxed);
    }
    void settled() noexcept { cut_ = nullptr; }

private:
    std::atomic<std::uint64_t>* cut_;
};

class connection {
public:
    connection(io::tcp_stream& peer, conversation& talk, connection_times times, std::atomic<std::uint64_t>& cut) noexcept
        : peer_(peer), talk_(talk), times_(times), cut_(cut) {}

    belay::task<> serve() {
        for (;;) {
            turn step;
            if (talk_.pending() < much) {
                step = talk_.run(clock_now());
            } else {
                step = co_await run_elsewhere();
            }
            if (talk_.has_replies()) {
                // One shield around all that is due, not one around each write: each would have a grace of its own.
                const auto answered = co_await belay::shield(answer(step), times_.grace);
                if (!answered) co_return;
                step = *answered;
            }
            if (step.next == next_step::close) co_return co_await close_gently(peer_);

            std::span<std::byte> room;
            if (talk_.pending() < much) {
                room = talk_.room(step.wanted);
            } else {
                room = co_await belay::spawn_blocking([&] { return talk_.room(step.wanted); });
            }
            std::size_t received = 0;
            if (times_.idle == 0ms) {
                received = co_await peer_.read_some(room);
            } else {
                received = co_await read_within(peer_, room, times_.idle);
            }
            if (received == 0) co_return;
            talk_.received(received);
        }
    }

private:
    belay::task<turn> run_elsewhere() {
        co_return co_await belay::spawn_blocking([this] { return talk_.run(clock_now()); });
    }

    // Writes what is due, and runs on, until there is nothing to do before the next read. Nothing: the peer takes no replies.
    belay::task<std::optional<turn>> answer(turn step) {
        replies_due due(cut_);
        bool taken = true;
        try {
            for (;;) {
                const auto replies = talk_.replies();
                if (times_.idle > 0ms) {
                    taken = co_await write_within(peer_, replies, times_.idle);
                } else if (replies.size() == 1) {
                    co_await peer_.write_all(replies[0]);
                } else {
                    co_await peer_.write_all(replies);
                }
                if (!taken) {
                    due.settled();
                    co_return std::nullopt;
                }
                talk_.replied();
                if (step.next != next_step::again) break;
                if (talk_.pending() < much) {
                    step = talk_.run(clock_now());
                } else {
                    step = co_await run_elsewhere();
                }
            }
        } catch (...) {
            due.settled();  // it hung up: nobody waits for them any more
            throw;
        }
        due.settled();
        co_return step;
    }

    io::tcp_stream& peer_;
    conversation& talk_;
    connection_times times_;
    std::atomic<std::uint64_t>& cut_;
};

}  // namespace

// A peer that hangs up is no error of ours; anything else is reported.

belay::task<> serve_connection(io::tcp_stream peer, conversation talk, connection_times times, std::atomic<std::uint64_t>& cut) {
    connection served(peer, talk, times, cut);
    try {
        co_await served.serve();
    } catch (const std::system_error& error) {
        if (!is_hang_up(error.code())) throw;
    }
}

belay::task<> turn_away(io::tcp_stream peer, std::string_view why) {
    try {
        co_await peer.write_all(why);
        co_await close_gently(peer);
    } catch (const std::system_error& error) {
        if (!is_hang_up(error.code())) throw;
    }
}

}  // namespace kv
