// One connection: a conversation over a socket.
#pragma once

#include "conversation.hpp"

#include <belay/io/tcp_stream.hpp>
#include <belay/runtime/task.hpp>

#include <chrono>

namespace kv {

// Reads, runs and answers until the peer closes, says QUIT, breaks the protocol, or is silent for `idle` (0: no limit).
//
// On stop: ends at the next read. Replies to commands that have run are still written, for at most belay's cleanup grace:
// a client never has to guess whether a command took effect because the server was told to stop.
// Backpressure: while a peer does not take its replies, no more of its commands run and no more bytes of it are read.
belay::task<> serve_connection(belay::io::tcp_stream peer, conversation talk, std::chrono::milliseconds idle);

}  // namespace kv
