#include <belay/io/udp_socket.hpp>

#include <belay/runtime/as_task.hpp>
#include <belay/runtime/timeout.hpp>
#include <belay/tests/kit/gtest.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <span>

#include "socket_kit.hpp"

namespace belay::testing {
namespace {

using io::udp_socket;
using namespace std::chrono_literals;

std::string text_of(std::span<const std::byte> bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

BELAY_TEST(UdpSocket, ADatagramArrivesWholeAndSaysWhoSentIt) {
    auto server = udp_socket::bind("127.0.0.1:0");
    auto client = udp_socket::bind("127.0.0.1:0");
    co_await client.send_to("question", server.local());
    std::array<std::byte, 64> buffer;
    auto question = co_await server.receive(buffer);
    EXPECT_EQ(text_of(std::span(buffer).first(question.size)), "question");
    EXPECT_EQ(question.from, client.local());
    EXPECT_FALSE(question.truncated);
    co_await server.send_to("answer", question.from);
    auto answer = co_await client.receive(buffer);
    EXPECT_EQ(text_of(std::span(buffer).first(answer.size)), "answer");
    EXPECT_EQ(answer.from, server.local());
}

BELAY_TEST(UdpSocket, WhatDoesNotFitIsSaidToBeTruncated) {
    auto server = udp_socket::bind("127.0.0.1:0");
    auto client = udp_socket::bind("127.0.0.1:0");
    co_await client.send_to("0123456789", server.local());
    co_await client.send_to("", server.local());
    std::array<std::byte, 4> small;
    auto cut = co_await server.receive(small);
    EXPECT_EQ(cut.size, 4U);
    EXPECT_TRUE(cut.truncated);
    auto empty = co_await server.receive(small);
    EXPECT_EQ(empty.size, 0U);
    EXPECT_FALSE(empty.truncated);
    EXPECT_EQ(empty.from, client.local()) << "an empty datagram is one, too";
}

BELAY_TEST(UdpSocket, IsConnectedToOnePeer) {
    auto server = udp_socket::bind("127.0.0.1:0");
    auto client = udp_socket::bind("127.0.0.1:0");
    auto stranger = udp_socket::bind("127.0.0.1:0");
    EXPECT_EQ((co_await error_of(as_task(client.send("to whom?")))).first.value(), EDESTADDRREQ);
    client.connect(server.local());
    co_await stranger.send_to("not for you", client.local());
    co_await client.send("hello");
    std::array<std::byte, 64> buffer;
    auto hello = co_await server.receive(buffer);
    co_await server.send_to("welcome", hello.from);
    auto welcome = co_await client.receive(buffer);
    EXPECT_EQ(text_of(std::span(buffer).first(welcome.size)), "welcome") << "the stranger's came before it";
}

BELAY_TEST(UdpSocket, AConnectedSenderHearsThatNobodyHasThePort) {
    auto client = udp_socket::bind("127.0.0.1:0");
    auto gone = udp_socket::bind("127.0.0.1:0");
    auto nobody = gone.local();
    gone.close();
    client.connect(nobody);
    co_await client.send("anybody?");
    std::array<std::byte, 8> buffer;
    auto receive = [&]() -> task<> { co_await client.receive(buffer); };
    auto [error, text] = co_await error_of(receive());
    EXPECT_EQ(error.value(), ECONNREFUSED) << text;
    EXPECT_TRUE(contains(text, nobody.to_string())) << text;
}

BELAY_TEST(UdpSocket, SaysWhatIsTooLarge) {
    auto client = udp_socket::bind("127.0.0.1:0");
    std::vector<std::byte> most(udp_socket::max_size);
    std::vector<std::byte> more(udp_socket::max_size + 1);
    co_await client.send_to(most, client.local());
    auto [error, text] = co_await error_of(as_task(client.send_to(more, client.local())));
    EXPECT_EQ(error.value(), EMSGSIZE);
    EXPECT_TRUE(contains(text, "65508 bytes")) << text;
    std::vector<std::byte> back(udp_socket::max_size);
    EXPECT_EQ((co_await client.receive(back)).size, udp_socket::max_size);
}

BELAY_TEST(UdpSocket, SpeaksIpv6) {
    udp_socket server;
    try {
        server = udp_socket::bind("[::1]:0", {.v6_only = true});
    } catch (const std::system_error&) {
        co_return;  // not every container has it
    }
    auto client = udp_socket::bind("[::1]:0");
    co_await client.send_to("six", server.local());
    std::array<std::byte, 8> buffer;
    EXPECT_EQ((co_await server.receive(buffer)).from, client.local());
}

TEST(UdpSocketBind, NamesTheCauseAndTheRemedy) {
    auto first = udp_socket::bind("127.0.0.1:0");
    try {
        auto second = udp_socket::bind(first.local());
        ADD_FAILURE() << "two sockets have one port";
    } catch (const std::system_error& error) {
        EXPECT_EQ(error.code().value(), EADDRINUSE);
        EXPECT_TRUE(contains(error.what(), "udp_options::reuse_port")) << error.what();
        EXPECT_TRUE(contains(error.what(), first.local().to_string())) << error.what();
    }
    EXPECT_THROW(static_cast<void>(udp_socket::bind("unix:/tmp/x")), std::invalid_argument);
    auto shared = udp_socket::bind("127.0.0.1:0", {.reuse_port = true});
    EXPECT_NO_THROW(static_cast<void>(udp_socket::bind(shared.local(), {.reuse_port = true})));
}

BELAY_TEST(UdpSocket, AStoppedReceiveTookNothing) {
    auto server = udp_socket::bind("127.0.0.1:0");
    auto client = udp_socket::bind("127.0.0.1:0");
    auto to = server.local();
    // One at a time, so that no buffer is ever full and each must arrive.
    for (int round = 0; round < races; ++round) {
        auto data = pattern(static_cast<std::size_t>(round), 8);
        std::array<std::byte, 8> buffer{};
        auto receive = [&]() -> task<std::size_t> { co_return (co_await server.receive(buffer)).size; };
        auto receive_or_stop = [&]() -> task<bool> {
            auto won = co_await race(receive(), round);
            co_return std::get<0>(won.values).has_value();
        };
        auto send_late = [&]() -> task<> {
            co_await yield_times(round % 5);
            co_await client.send_to(data, to);
        };
        auto [received, sent] = co_await when_all(receive_or_stop(), send_late());
        if (!received) {
            auto late = co_await try_timeout(10s, server.receive(buffer));
            CO_ASSERT_TRUE(late.has_value()) << "the datagram of round " << round << " was lost";
        }
        CO_ASSERT_TRUE(std::ranges::equal(buffer, data)) << "round " << round;
    }
}

BELAY_TEST(UdpSocket, ASendMayBeStopped) {
    auto server = udp_socket::bind("127.0.0.1:0");
    auto client = udp_socket::bind("127.0.0.1:0");
    auto to = server.local();
    std::array<std::byte, 4> buffer;
    for (int round = 0; round < races; ++round) {
        auto data = pattern(static_cast<std::size_t>(round), 4);
        auto send = [&]() -> task<int> {
            co_await client.send_to(data, to);
            co_return 1;
        };
        auto won = co_await race(send(), round);
        // A send that was completed is delivered as such, and only then is there something to receive.
        if (!std::get<0>(won.values)) continue;
        auto got = co_await try_timeout(10s, server.receive(buffer));
        CO_ASSERT_TRUE(got.has_value());
        CO_ASSERT_TRUE(std::ranges::equal(buffer, data)) << "round " << round << ": one that was stopped was sent";
    }
}

}  // namespace
}  // namespace belay::testing
