#include "options.hpp"

#include <charconv>
#include <cmath>
#include <system_error>

namespace kv {
namespace {

template <class Number>
std::optional<Number> parse_number(std::string_view text) {
    Number value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return value;
}

bool read_duration(std::string_view text, std::chrono::milliseconds& target) {
    const auto seconds = parse_number<double>(text);
    constexpr double longest = 365.0 * 24 * 3600;
    if (!seconds || !(*seconds >= 0) || *seconds > longest) return false;
    target = std::chrono::milliseconds(std::llround(*seconds * 1000));
    return true;
}

template <class Number>
bool read_number(std::string_view text, Number least, Number& target) {
    const auto value = parse_number<Number>(text);
    if (!value || *value < least) return false;
    target = *value;
    return true;
}

struct option {
    std::string_view name;
    std::string_view takes;
    bool (*read)(std::string_view text, server_options& target);
};

constexpr option known_options[] = {
    {"--bind", "an IP address",
     [](std::string_view text, server_options& o) {
         o.bind = text;
         return !text.empty();
     }},
    {"--port", "a number from 0 to 65535",
     [](std::string_view text, server_options& o) { return read_number<std::uint16_t>(text, 0, o.port); }},
    {"--workers", "a number from 1 on",
     [](std::string_view text, server_options& o) { return read_number<unsigned>(text, 1, o.workers); }},
    {"--max-clients", "a number from 1 on",
     [](std::string_view text, server_options& o) { return read_number<std::size_t>(text, 1, o.max_clients); }},
    {"--idle-timeout", "seconds, 0 for none",
     [](std::string_view text, server_options& o) { return read_duration(text, o.idle_timeout); }},
    {"--grace", "seconds", [](std::string_view text, server_options& o) { return read_duration(text, o.grace); }},
    {"--proto-max-bulk-len", "a number of bytes",
     [](std::string_view text, server_options& o) { return read_number<std::size_t>(text, 1, o.max_bulk); }},
    {"--client-query-buffer-limit", "a number of bytes",
     [](std::string_view text, server_options& o) { return read_number<std::size_t>(text, 1, o.max_query); }},
    {"--metrics", "HOST:PORT",
     [](std::string_view text, server_options& o) {
         o.metrics = text;
         return text.find(':') != std::string_view::npos;
     }},
};

const option* find_option(std::string_view name) noexcept {
    for (const option& one : known_options) {
        if (one.name == name) return &one;
    }
    return nullptr;
}

}  // namespace

parsed_options parse_options(std::span<const std::string_view> arguments) {
    server_options result;
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        const std::string_view argument = arguments[i];
        if (argument == "--help" || argument == "-h") return help_wanted{};
        const std::size_t equals = argument.find('=');
        const option* const found = find_option(argument.substr(0, equals));
        if (!found) return usage_error{"unknown option '" + std::string(argument) + "'"};
        const bool separate = equals == std::string_view::npos;
        if (separate && i + 1 == arguments.size()) {
            return usage_error{std::string(found->name) + " takes " + std::string(found->takes)};
        }
        const std::string_view text = separate ? arguments[++i] : argument.substr(equals + 1);
        if (!found->read(text, result)) {
            return usage_error{std::string(found->name) + " takes " + std::string(found->takes) + ", not '" + std::string(text) +
                               "'"};
        }
    }
    return result;
}

std::string_view usage_text() noexcept {
    return "usage: kv_server [options]\n"
           "  --bind ADDRESS        listen on this address (127.0.0.1)\n"
           "  --port PORT           listen on this port (6379); 0: any free one\n"
           "  --workers N           worker threads (one per CPU that the process may use)\n"
           "  --max-clients N       connections at a time; more are turned away (10000)\n"
           "  --idle-timeout SECS   close a connection that sends nothing, or takes no reply, for so long (0: never)\n"
           "  --grace SECS          on SIGINT or SIGTERM, give clients so long to take their replies (10)\n"
           "  --metrics HOST:PORT   serve /metrics and /healthz there (off)\n"
           "  --proto-max-bulk-len BYTES         the longest argument and value (512 MB)\n"
           "  --client-query-buffer-limit BYTES  the longest command (1 GB)\n";
}

}  // namespace kv
