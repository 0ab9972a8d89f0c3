// One connection: a conversation over a socket.
#pragma once

#include "conversation.hpp"

#include <belay/io/tcp_stream.hpp>
#include <belay/runtime/task.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string_view>

namespace kv {

struct connection_times {
    std::chrono::milliseconds idle;   // without a byte received, or a byte of a reply taken; 0: no limit
    std::chrono::milliseconds grace;  // from the stop on, for the replies that are due
};

// Reads, runs and answers until the peer closes, says QUIT, breaks the protocol, or is idle for too long.
//
// On stop: ends at the next read. The commands that were received whole by then still run and their replies are written, for
// at most the grace: a client never has to guess whether a command took effect because the server was told to stop. If it
// does not take them within the grace, the connection closes and is counted in `cut`.
// Backpressure: while a peer does not take its replies, no more of its commands run and no more bytes of it are read.
belay::task<> serve_connection(belay::io::tcp_stream peer, conversation talk, connection_times times,
                               std::atomic<std::uint64_t>& cut);

// Tells a peer that is not served why, and closes. `why` is a whole reply and lives as long as the program.
belay::task<> turn_away(belay::io::tcp_stream peer, std::string_view why);

}  // namespace kv
