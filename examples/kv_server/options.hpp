// The command line of kv_server.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>

namespace kv {

struct server_options {
    std::string bind = "127.0.0.1";
    std::uint16_t port = 6379;                        // 0: the system chooses, and the log says which
    unsigned workers = 0;                             // 0: one per CPU that the process may use
    std::size_t max_clients = 10'000;                 // more are told so and closed, as Redis does
    std::chrono::milliseconds idle_timeout{0};  // of a connection that sends nothing, or takes nothing of its replies; 0: none
    std::chrono::milliseconds grace{10'000};  // for replies that are being written when the server is told to stop
    std::size_t max_bulk = 512 * 1024 * 1024;  // one argument, one value
    std::size_t max_query = 1024 * 1024 * 1024;  // one command with all its arguments
    std::optional<std::string> metrics;  // host:port of the debug endpoint
};

struct usage_error {
    std::string message;  // names the option and what it takes
};
struct help_wanted {};

using parsed_options = std::variant<server_options, usage_error, help_wanted>;

// `arguments` is without the program's name. Both "--port 7000" and "--port=7000" are understood; durations are in
// seconds, with decimals if need be.
[[nodiscard]] parsed_options parse_options(std::span<const std::string_view> arguments);

[[nodiscard]] std::string_view usage_text() noexcept;

}  // namespace kv
