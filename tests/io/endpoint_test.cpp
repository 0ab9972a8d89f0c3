#include <belay/io/endpoint.hpp>

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <algorithm>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace {

using belay::io::endpoint;
using kind = endpoint::kind;

std::string complaint_about(std::string_view text) {
    try {
        static_cast<void>(endpoint::parse(text));
    } catch (const std::invalid_argument& error) {
        return error.what();
    }
    return "no complaint";
}

bool contains(std::string_view text, std::string_view part) { return text.find(part) != text.npos; }

TEST(Endpoint, ReadsAnIpv4AddressWithItsPort) {
    const auto e = endpoint::parse("127.0.0.1:7777");
    EXPECT_EQ(e.family(), kind::ipv4);
    EXPECT_EQ(e.port(), 7777);
    EXPECT_EQ(e.address(), "127.0.0.1");
    EXPECT_EQ(e.size(), sizeof(sockaddr_in));
    EXPECT_EQ(e.data()->sa_family, AF_INET);
    EXPECT_EQ(e, endpoint::loopback(7777));
}

TEST(Endpoint, ReadsAnIpv6AddressInBrackets) {
    const auto e = endpoint::parse("[2001:db8::17]:443");
    EXPECT_EQ(e.family(), kind::ipv6);
    EXPECT_EQ(e.port(), 443);
    EXPECT_EQ(e.address(), "2001:db8::17");
    EXPECT_EQ(e.to_string(), "[2001:db8::17]:443");
    EXPECT_EQ(e.size(), sizeof(sockaddr_in6));
}

TEST(Endpoint, ReadsTheInterfaceOfALinkLocalAddress) {
    EXPECT_EQ(endpoint::parse("[fe80::1%lo]:80").to_string(), "[fe80::1%lo]:80");
    EXPECT_EQ(endpoint::parse("[fe80::1%1]:80"), endpoint::parse("[fe80::1%lo]:80"));
    EXPECT_EQ(endpoint::parse("[fe80::1%4000000]:80").to_string(), "[fe80::1%4000000]:80");
    EXPECT_NE(endpoint::parse("[fe80::1%2]:80"), endpoint::parse("[fe80::1%3]:80"));
}

TEST(Endpoint, APortAloneMeansAnyIpv4Address) {
    const auto e = endpoint::parse(":8080");
    EXPECT_EQ(e.to_string(), "0.0.0.0:8080");
    EXPECT_EQ(endpoint{}.to_string(), "0.0.0.0:0");
}

TEST(Endpoint, ReadsAUnixPath) {
    const auto e = endpoint::parse("unix:/run/app.sock");
    EXPECT_TRUE(e.is_unix());
    EXPECT_EQ(e.port(), 0);
    EXPECT_EQ(e.address(), "/run/app.sock");
    EXPECT_EQ(e.to_string(), "unix:/run/app.sock");
    EXPECT_EQ(e.size(), offsetof(sockaddr_un, sun_path) + std::string_view{"/run/app.sock"}.size() + 1);
}

TEST(Endpoint, ReadsAnAbstractUnixName) {
    const auto e = endpoint::parse("unix:@app");
    EXPECT_TRUE(e.is_unix());
    EXPECT_EQ(e.address(), "@app");
    EXPECT_EQ(e.to_string(), "unix:@app");
    EXPECT_EQ(e.size(), offsetof(sockaddr_un, sun_path) + 4);
    const auto* address = reinterpret_cast<const sockaddr_un*>(e.data());
    EXPECT_EQ(std::string_view(address->sun_path, 4), std::string_view("\0app", 4));
}

TEST(Endpoint, WritesWhatItReads) {
    for (const char* text : {"0.0.0.0:0", "255.255.255.255:65535", "[::]:0", "[::1]:65535", "[::ffff:1.2.3.4]:9", "unix:/a b/c",
                             "unix:relative", "unix:./@file", "unix:@with:colon"})
        EXPECT_EQ(endpoint::parse(text).to_string(), text);
}

TEST(Endpoint, NamesTheMalformedTextTheReasonAndTheForms) {
    const auto message = complaint_about("localhost:80");
    EXPECT_TRUE(contains(message, "'localhost:80'")) << message;
    EXPECT_TRUE(contains(message, "'localhost' is not an IPv4 address")) << message;
    EXPECT_TRUE(contains(message, "io::resolve")) << message;
    EXPECT_TRUE(contains(message, "127.0.0.1:7777, [::1]:80, :8080")) << message;
}

TEST(Endpoint, SaysWhatIsWrong) {
    const std::pair<std::string_view, std::string_view> cases[] = {
        {"", "it is empty"},
        {"127.0.0.1", "the port is missing"},
        {"127.0.0.1:", "the port is missing"},
        {"127.0.0.1:http", "'http' is not a port"},
        {"127.0.0.1:65536", "'65536' is not a port from 0 to 65535"},
        {"127.0.0.1:-1", "'-1' is not a port"},
        {"127.0.0.1:+1", "'+1' is not a port"},
        {"127.0.0.1: 80", "' 80' is not a port"},
        {"127.0.0.1:80 ", "'80 ' is not a port"},
        {"127.0.0:80", "'127.0.0' is not an IPv4 address"},
        {"256.0.0.1:80", "'256.0.0.1' is not an IPv4 address"},
        {"::1:80", "must stand in brackets"},
        {"[::1]", "the port is missing"},
        {"[::1]80", "the port is missing"},
        {"[::1:80", "the ']'"},
        {"[]:80", "'' is not an IPv6 address"},
        {"[127.0.0.1]:80", "'127.0.0.1' is not an IPv6 address"},
        {"[fe80::1%nosuchif]:80", "there is no network interface 'nosuchif'"},
        {"unix:", "needs a path"},
        {"unix:@", "needs a path"},
        {std::string_view("127.0.0.1\0:80", 13), "a zero byte follows"},
        {std::string_view("unix:/a\0b", 9), "a zero byte follows"},
    };
    for (const auto& [text, reason] : cases)
        EXPECT_TRUE(contains(complaint_about(text), reason)) << text << ": " << complaint_about(text);
}

TEST(Endpoint, RefusesAPathThatIsTooLongAndSaysTheLimit) {
    EXPECT_EQ(endpoint::unix_path(std::string(107, 'x')).address().size(), 107U);
    const auto message = complaint_about("unix:" + std::string(108, 'x'));
    EXPECT_TRUE(contains(message, "108 bytes; the system allows 107")) << message;
    EXPECT_EQ(endpoint::unix_path("@" + std::string(106, 'x')).address().size(), 107U);
}

TEST(Endpoint, CopiesASystemAddress) {
    const auto e = endpoint::parse("[fe80::1%5]:99");
    EXPECT_EQ(endpoint::from_sockaddr(e.data(), e.size()), e);
    const sockaddr_un unnamed{.sun_family = AF_UNIX, .sun_path = {}};
    EXPECT_EQ(endpoint::from_sockaddr(reinterpret_cast<const sockaddr*>(&unnamed), sizeof(sa_family_t)).to_string(), "unix:");
}

TEST(Endpoint, RefusesASystemAddressOfAnotherFamilyOrATruncatedOne) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    const auto* data = reinterpret_cast<const sockaddr*>(&address);
    EXPECT_THROW(static_cast<void>(endpoint::from_sockaddr(data, sizeof(address) - 1)), std::invalid_argument);
    EXPECT_THROW(static_cast<void>(endpoint::from_sockaddr(data, 1)), std::invalid_argument);
    address.sin_family = AF_NETLINK;
    EXPECT_THROW(static_cast<void>(endpoint::from_sockaddr(data, sizeof(address))), std::invalid_argument);
}

TEST(Endpoint, OrdersByKindThenAddressThenPort) {
    std::vector<endpoint> sorted;
    for (const char* text : {"10.0.0.1:80", "10.0.0.1:443", "10.0.0.2:1", "[::1]:80", "[::2]:1", "unix:/a", "unix:/b"})
        sorted.push_back(endpoint::parse(text));
    auto shuffled = sorted;
    std::ranges::reverse(shuffled);
    std::ranges::sort(shuffled);
    EXPECT_EQ(shuffled, sorted);
    EXPECT_LT(endpoint::parse("9.255.255.255:80"), endpoint::parse("10.0.0.1:80"));
}

TEST(Endpoint, ADescriptorThatIsNoSocketHasNoEndpoint) {
    auto e = endpoint::loopback(5);
    EXPECT_FALSE(e.assign_local_of(-1));
    EXPECT_FALSE(e.assign_peer_of(-1));
    EXPECT_EQ(e, endpoint::loopback(5));
}

}  // namespace
