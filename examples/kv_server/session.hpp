// What the commands know of the connection that sent them, and of the server around it.
#pragma once

#include "shard.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace kv {

struct session {
    std::uint64_t id = 0;
    std::string peer;  // "127.0.0.1:50312"
    time_point since{};
    std::string name;  // CLIENT SETNAME
    std::uint64_t commands = 0;
    bool quit = false;  // QUIT: nothing after it is executed, and the connection closes when it is answered
};

// Shared by all connections, and updated once per batch of commands, not once per command: a counter that every worker
// writes at every command would cost more than the command.
struct server_status {
    time_point started{};
    std::uint16_t port = 0;
    std::size_t max_clients = 0;
    std::size_t max_value = 512 * 1024 * 1024;  // of what APPEND makes
    std::span<const std::pair<std::string_view, std::string>> config{};  // what CONFIG GET shows
    std::atomic<std::uint64_t> connections_now{0};
    std::atomic<std::uint64_t> connections_total{0};
    std::atomic<std::uint64_t> connections_rejected{0};
    std::atomic<std::uint64_t> connections_cut{0};  // told to end, and did not take their replies in time
    std::atomic<std::uint64_t> commands_total{0};
    std::atomic<std::uint64_t> bytes_received{0};
};

}  // namespace kv
