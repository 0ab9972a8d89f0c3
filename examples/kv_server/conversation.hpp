// Everything of a connection but its socket: what came in, the parser, the commands, what goes out.
//
//     for (;;) {
//         const kv::turn turn = talk.run(kv::clock_now());
//         if (talk.has_replies()) { co_await peer.write_all(talk.replies()); talk.replied(); }
//         if (turn.next == kv::next_step::close) co_return;
//         if (turn.next == kv::next_step::read) talk.received(co_await peer.read_some(talk.room(turn.wanted)));
//     }
//
// It does no I/O, so the tests drive it byte by byte, and any transport can carry it.
#pragma once

#include "receive_buffer.hpp"
#include "reply.hpp"
#include "resp_parser.hpp"
#include "session.hpp"
#include "store.hpp"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <span>
#include <string_view>

namespace kv {

[[nodiscard]] inline time_point clock_now() {
    return std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now());
}

struct conversation_options {
    parser_limits limits{};
    std::size_t flush_at = 64 * 1024;                // replies are written before more commands run
    std::size_t max_reply = reply::default_limit;    // a connection that would need more at once is closed
};

enum class next_step {
    read,   // all that came is answered, or is the beginning of a command
    again,  // there is more to run: write what there is, then run again
    close,  // write what there is, then close
};

struct turn {
    next_step next = next_step::read;
    std::size_t wanted = 1;  // read: at least this much is missing
};

class conversation {
public:
    conversation(store& data, server_status& status, session who, conversation_options options = {});

    // Runs the commands that are complete, until the replies have to be written first.
    [[nodiscard]] turn run(time_point now);

    [[nodiscard]] std::span<std::byte> room(std::size_t wanted) { return buffer_.room(wanted); }
    void received(std::size_t count) noexcept {
        buffer_.received(count);
        status_.bytes_received.fetch_add(count, std::memory_order_relaxed);
    }

    // Bytes that came and are not consumed.
    [[nodiscard]] std::size_t pending() const noexcept { return buffer_.unconsumed().size(); }

    [[nodiscard]] bool has_replies() const noexcept { return !out_.empty(); }
    // In order; valid until replied() or run().
    [[nodiscard]] std::span<const std::span<const std::byte>> replies() { return out_.pieces(); }
    void replied() { out_.clear(); }

    [[nodiscard]] const session& who() const noexcept { return who_; }

private:
    [[nodiscard]] turn run_commands(time_point now);

    store& data_;
    server_status& status_;
    session who_;
    conversation_options options_;
    receive_buffer buffer_;
    resp_parser parser_;
    reply out_;
};

}  // namespace kv
