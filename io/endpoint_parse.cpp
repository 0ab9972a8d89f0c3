#include <belay/io/endpoint.hpp>

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>

#include <charconv>
#include <optional>
#include <stdexcept>

namespace belay::io {
namespace {

[[noreturn]] void malformed(std::string_view text, const std::string& reason) {
    throw std::invalid_argument{"belay: '" + std::string{text} + "' is not an endpoint: " + reason +
                                "; write 127.0.0.1:7777, [::1]:80, :8080 (any IPv4 address), unix:/path or "
                                "unix:@abstract-name"};
}

std::string quoted(std::string_view text) { return "'" + std::string{text} + "'"; }

template <class Number>
std::optional<Number> to_number(std::string_view text) noexcept {
    Number value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return value;
}

std::uint16_t parse_port(std::string_view text, std::string_view port) {
    if (port.empty()) malformed(text, "the port is missing");
    const auto value = to_number<std::uint16_t>(port);
    if (!value) malformed(text, quoted(port) + " is not a port from 0 to 65535");
    return *value;
}

std::uint32_t parse_scope(std::string_view text, std::string_view scope) {
    if (const auto number = to_number<std::uint32_t>(scope)) return *number;
    const unsigned index = ::if_nametoindex(std::string{scope}.c_str());
    if (index == 0) malformed(text, "there is no network interface " + quoted(scope));
    return index;
}

endpoint parse_ipv6(std::string_view text) {
    const auto close = text.find(']');
    if (close == text.npos) malformed(text, "the ']' that ends the IPv6 address is missing");
    const auto host = text.substr(1, close - 1);
    const auto rest = text.substr(close + 1);
    if (!rest.starts_with(':')) malformed(text, "the port is missing");

    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    address.sin6_port = htons(parse_port(text, rest.substr(1)));
    const auto percent = host.find('%');
    if (percent != host.npos) address.sin6_scope_id = parse_scope(text, host.substr(percent + 1));
    if (::inet_pton(AF_INET6, std::string{host.substr(0, percent)}.c_str(), &address.sin6_addr) != 1)
        malformed(text, quoted(host) + " is not an IPv6 address");
    return endpoint::from_sockaddr(reinterpret_cast<const sockaddr*>(&address), sizeof(address));
}

endpoint parse_ipv4(std::string_view text) {
    const auto colon = text.rfind(':');
    if (colon == text.npos) malformed(text, "the port is missing");
    const auto host = text.substr(0, colon);
    if (host.find(':') != host.npos) malformed(text, "an IPv6 address must stand in brackets");

    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(parse_port(text, text.substr(colon + 1)));
    if (!host.empty() && ::inet_pton(AF_INET, std::string{host}.c_str(), &address.sin_addr) != 1) {
        malformed(text, quoted(host) +
                            " is not an IPv4 address (a name is looked up by io::resolve or by "
                            "io::tcp_stream::connect)");
    }
    return endpoint::from_sockaddr(reinterpret_cast<const sockaddr*>(&address), sizeof(address));
}

}  // namespace

endpoint endpoint::parse(std::string_view text) {
    constexpr std::string_view unix_prefix = "unix:";
    if (text.empty()) malformed(text, "it is empty");
    if (const auto zero = text.find('\0'); zero != text.npos) malformed(text.substr(0, zero), "a zero byte follows");
    if (text.starts_with('[')) return parse_ipv6(text);
    if (!text.starts_with(unix_prefix)) return parse_ipv4(text);
    try {
        return unix_path(text.substr(unix_prefix.size()));
    } catch (const std::invalid_argument& error) {
        malformed(text, std::string{error.what()}.substr(std::string_view{"belay: "}.size()));
    }
}

}  // namespace belay::io
