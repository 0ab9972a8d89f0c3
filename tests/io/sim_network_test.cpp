// The network of a simulation: what sockets do in it is what they do in reality, and what goes wrong is what a test asks for.
#include <belay/io/sim_network.hpp>

#include <belay/io/error.hpp>
#include <belay/io/file.hpp>
#include <belay/io/signal_set.hpp>
#include <belay/io/sim_files.hpp>
#include <belay/io/tcp_listener.hpp>
#include <belay/io/tcp_stream.hpp>
#include <belay/io/udp_socket.hpp>
#include <belay/runtime/simulation.hpp>
#include <belay/runtime/sleep.hpp>
#include <belay/runtime/timeout.hpp>
#include <belay/runtime/when_all.hpp>
#include <belay/runtime/yield.hpp>
#include <belay/tests/kit/everywhere.hpp>
#include <belay/tests/kit/gtest.hpp>

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <numeric>
#include <set>
#include <string>
#include <system_error>
#include <vector>

#include "sim_kit.hpp"

namespace belay::io {
namespace {

using namespace std::chrono_literals;

std::vector<std::byte> pattern(std::size_t bytes) {
    std::vector<std::byte> data(bytes);
    for (std::size_t i = 0; i < bytes; ++i) data[i] = static_cast<std::byte>(i * 31 % 251);
    return data;
}

task<std::vector<std::byte>> read_to_end(tcp_stream& from) {
    std::vector<std::byte> all;
    std::array<std::byte, 1'000> buffer;
    while (std::size_t n = co_await from.read_some(buffer))
        all.insert(all.end(), buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(n));
    co_return all;
}

/// Both ends of a connection to 10.0.0.1:80.
task<std::pair<tcp_stream, tcp_stream>> connection() {
    auto listener = tcp_listener::bind("10.0.0.1:80");
    auto [client, server] = co_await when_all(tcp_stream::connect(endpoint::parse("10.0.0.1:80")), listener.accept());
    co_return std::pair{std::move(client), std::move(server)};
}

task<> echo_one(tcp_listener& listener) {
    auto peer = co_await listener.accept();
    std::array<std::byte, 64> buffer;
    while (std::size_t n = co_await peer.read_some(buffer)) co_await peer.write_all(std::span(buffer).first(n));
}

task<> echo_program(simulation&) {
    auto listener = tcp_listener::bind("127.0.0.1:0");
    co_await with_scope([&](scope& s) -> task<> {
        s.spawn([&]() -> task<> { co_await echo_one(listener); });
        auto stream = co_await tcp_stream::connect(listener.local());
        auto sent = pattern(300);
        co_await stream.write_all(sent);
        stream.shutdown(shutdown_side::write);
        EXPECT_EQ(co_await read_to_end(stream), sent);
    });
}

TEST(SimNetwork, AnEchoMayBeInterruptedStoppedAndFailAnywhere) {
    auto all = kit::run_everywhere_test({}, echo_program);
    EXPECT_GT(all.stops, 20U);
    EXPECT_GT(all.failures, 5U);
}

BELAY_TEST_SIM(SimNetwork, BytesArriveInOrderInWhateverPieces, .seeds = 20) {
    sim_network::of(sim).set_link({.latency = 1ms, .jitter = 5ms});
    sim_network::of(sim).set_buffer(5'000);
    auto [client, server] = co_await connection();
    auto there = pattern(50'000);
    auto back = pattern(20'000);
    auto send = [](tcp_stream& to, const std::vector<std::byte>& data) -> task<> {
        co_await to.write_all(data);
        to.shutdown(shutdown_side::write);
    };
    auto [sent, got, answered, answer] =
        co_await when_all(send(client, there), read_to_end(server), send(server, back), read_to_end(client));
    CO_ASSERT_EQ(got, there);
    CO_ASSERT_EQ(answer, back);
    EXPECT_EQ(sim_network::of(sim).bytes_in_transit(), 0U);
}

BELAY_TEST_SIM(SimNetwork, LatencyAndBandwidthTakeTime, .seeds = 2) {
    auto& net = sim_network::of(sim);
    net.set_faults({.short_transfer = 0});
    net.set_link("10.0.0.1", "127.0.0.1", {.latency = 10ms, .bytes_per_second = 1'000'000});
    auto began = sim.elapsed();
    auto [client, server] = co_await connection();
    EXPECT_GE(sim.elapsed() - began, 30ms) << "there, back, and the packet that the listener waits for";
    EXPECT_LT(sim.elapsed() - began, 31ms);
    began = sim.elapsed();
    std::vector<std::byte> data(10'000);
    co_await when_all(client.write_all(data), server.read_exact(data));
    EXPECT_GE(sim.elapsed() - began, 20ms) << "10 ms on the way, 10 ms for its size";
    EXPECT_LT(sim.elapsed() - began, 21ms);
}

BELAY_TEST_SIM(SimNetwork, AddressesAreWhatWasBoundAndConnected, .seeds = 3) {
    sim_network::of(sim).connect_from("10.0.0.7");
    auto [client, server] = co_await connection();
    EXPECT_EQ(client.peer().to_string(), "10.0.0.1:80");
    EXPECT_EQ(server.local().to_string(), "10.0.0.1:80");
    EXPECT_EQ(server.peer(), client.local());
    EXPECT_EQ(client.local().address(), "10.0.0.7");
    auto everywhere = tcp_listener::bind("0.0.0.0:0");
    EXPECT_NE(everywhere.local().port(), 0);
    auto [by_any, accepted] = co_await when_all(
        tcp_stream::connect(endpoint::parse("192.168.1.1:" + std::to_string(everywhere.local().port()))), everywhere.accept());
    EXPECT_EQ(accepted.local().address(), "192.168.1.1");
    auto [one, other] = stream_pair();
    EXPECT_TRUE(one.peer().is_unix());
    co_await one.write_all("hello");
    std::array<std::byte, 5> got;
    co_await other.read_exact(got);
}

BELAY_TEST_SIM(SimNetwork, NobodyListens, .seeds = 3) {
    EXPECT_EQ(co_await error_of(tcp_stream::connect(endpoint::parse("10.0.0.1:81"))), ECONNREFUSED);
    EXPECT_EQ(co_await error_of(tcp_stream::connect(endpoint::unix_path("/nowhere"))), ENOENT);
    auto listener = tcp_listener::bind("10.0.0.1:80");
    try {
        auto second = tcp_listener::bind("10.0.0.1:80");
        CO_FAIL() << "bound twice";
    } catch (const std::system_error& error) {
        EXPECT_EQ(error.code().value(), EADDRINUSE);
    }
    auto other_host = tcp_listener::bind("10.0.0.2:80");
    listener.close();
    auto again = tcp_listener::bind("10.0.0.1:80");
}

BELAY_TEST_SIM(SimNetwork, AWriterWaitsWhileTheOtherEndDoesNotRead, .seeds = 10) {
    sim_network::of(sim).set_buffer(1'000);
    auto [client, server] = co_await connection();
    std::size_t written = 0;
    std::vector<std::byte> data(10'000);
    auto late = co_await try_timeout(1s, client.write_all(data, written));
    EXPECT_FALSE(late);
    EXPECT_EQ(written, 1'000U);
    std::vector<std::byte> buffer(600);
    co_await server.read_exact(buffer);
    EXPECT_LE(co_await client.write_some(data), 600U);
}

BELAY_TEST_SIM(SimNetwork, AHalfCloseLeavesTheOtherHalf, .seeds = 10) {
    auto [client, server] = co_await connection();
    client.shutdown(shutdown_side::write);
    std::array<std::byte, 4> buffer;
    EXPECT_EQ(co_await server.read_some(buffer), 0U);
    co_await server.write_all("late");
    co_await client.read_exact(buffer);
    EXPECT_EQ(co_await error_of([](tcp_stream& s) -> task<> { co_await s.write_all("more"); }(client)), EPIPE);
    server.close();
    try {
        co_await client.read_exact(buffer);
        CO_FAIL() << "it was read";
    } catch (const std::system_error& error) {
        EXPECT_EQ(error.code(), errc::end_of_stream);
    }
}

BELAY_TEST_SIM(SimNetwork, AClosedEndResetsWhatItDidNotRead, .seeds = 10) {
    auto [client, server] = co_await connection();
    co_await client.write_all("unread");
    co_await sleep_for(1ms);
    server.close();
    std::array<std::byte, 4> buffer;
    auto read = [&](tcp_stream& from) -> task<> { co_await from.read_some(buffer); };
    EXPECT_EQ(co_await error_of(read(client)), ECONNRESET);

    auto [second, gone] = co_await connection();
    gone.close();
    int error = 0;
    for (int i = 0; i < 10 && error == 0; ++i) {  // the first write may still be taken
        error = co_await error_of([](tcp_stream& s) -> task<> { co_await s.write_all("more"); }(second));
        co_await sleep_for(1ms);
    }
    EXPECT_EQ(error, EPIPE);
    EXPECT_EQ(co_await second.read_some(buffer), 0U) << "its end had come before";
}

BELAY_TEST_SIM(SimNetwork, WhatHasArrivedBeforeAResetMayBeRead, .seeds = 10) {
    auto [client, server] = co_await connection();
    co_await client.write_all("unread");
    co_await server.write_all("last");
    co_await sleep_for(1ms);
    server.close();
    co_await sleep_for(1ms);
    std::array<std::byte, 4> buffer;
    co_await client.read_exact(buffer);
    EXPECT_EQ(static_cast<char>(buffer[0]), 'l');
    auto read = [&](tcp_stream& from) -> task<> { co_await from.read_some(buffer); };
    EXPECT_EQ(co_await error_of(read(client)), ECONNRESET);
    EXPECT_EQ(co_await client.read_some(buffer), 0U) << "an error is told once";
    EXPECT_EQ(co_await error_of([](tcp_stream& s) -> task<> { co_await s.write_all("more"); }(client)), EPIPE);
}

BELAY_TEST_EVERYWHERE(SimNetwork, AConnectThatIsGivenUpIsSeenToEnd, .seeds = 20) {
    sim_network::of(sim).set_link({.latency = 20ms, .jitter = 20ms});
    auto listener = tcp_listener::bind("10.0.0.1:80");
    co_await with_scope([&](scope& s) -> task<> {
        auto server = s.spawn([&]() -> task<> {
            for (;;) {
                auto peer = co_await listener.accept();
                std::array<std::byte, 4> buffer;
                try {
                    while (co_await peer.read_some(buffer) != 0) {}
                } catch (const std::system_error&) {
                    // reset
                }
            }
        });
        for (int i = 0; i < 3; ++i) co_await try_timeout(50ms, tcp_stream::connect(endpoint::parse("10.0.0.1:80")));
        co_await sleep_for(1s);
        server.request_stop();
    });
}

BELAY_TEST_SIM(SimNetwork, HostsHaveNamesAndSeveralListenersMayShareAPort, .seeds = 10) {
    auto& net = sim_network::of(sim);
    net.add_host("db.example", "10.0.0.5");
    net.add_host("db6.example", "2001:db8::5");
    net.connect_from("2001:db8::7");
    listen_options shared{.reuse_port = true};
    auto first = tcp_listener::bind("10.0.0.5:5432", shared);
    auto second = tcp_listener::bind("10.0.0.5:5432", shared);
    auto v6 = tcp_listener::bind("[2001:db8::5]:5432");
    auto by_name = co_await tcp_stream::connect("db.example:5432");
    EXPECT_EQ(by_name.peer().to_string(), "10.0.0.5:5432");
    auto by_v6 = co_await tcp_stream::connect("db6.example:5432");
    EXPECT_EQ(by_v6.local().address(), "2001:db8::7");
    EXPECT_NE(co_await error_of(tcp_stream::connect("nowhere.example:1")), 0);
    auto other = tcp_listener::bind("10.0.0.6:1");
    EXPECT_NE(co_await error_of([]() -> task<> {
                  auto again = tcp_listener::bind("10.0.0.6:1");
                  co_return;
              }()),
              0);
}

BELAY_TEST_SIM(SimNetwork, APartitionHoldsBackAndHealingDelivers, .seeds = 10) {
    auto& net = sim_network::of(sim);
    auto [client, server] = co_await connection();
    net.partition("127.0.0.1", "10.0.0.1");
    co_await client.write_all("late");
    std::array<std::byte, 4> buffer;
    EXPECT_FALSE(co_await try_timeout(1h, server.read_exact(buffer)));
    net.heal("10.0.0.1", "127.0.0.1");
    co_await server.read_exact(buffer);
    EXPECT_EQ(static_cast<char>(buffer[3]), 'e');

    net.partition("127.0.0.1", "10.0.0.1");
    auto began = sim.elapsed();
    auto listener = tcp_listener::bind("10.0.0.1:90");
    EXPECT_EQ(co_await error_of(tcp_stream::connect(endpoint::parse("10.0.0.1:90"))), ETIMEDOUT);
    EXPECT_GE(sim.elapsed() - began, 127s);
    EXPECT_LT(sim.elapsed() - began, 128s);
    net.heal("127.0.0.1", "10.0.0.1");
    co_await when_all(tcp_stream::connect(endpoint::parse("10.0.0.1:90")), listener.accept());
}

BELAY_TEST_SIM(SimNetwork, ResetsReachBothEnds, .seeds = 10) {
    auto [client, server] = co_await connection();
    std::array<std::byte, 4> one;
    std::array<std::byte, 4> other;
    auto read = [](tcp_stream& from, std::span<std::byte> to) -> task<> { co_await from.read_exact(to); };
    auto reset = [&]() -> task<> {
        co_await sleep_for(1ms);
        sim_network::of(sim).reset_connections("10.0.0.1");
    };
    auto [a, b, c] = co_await when_all(error_of(read(client, one)), error_of(read(server, other)), reset());
    EXPECT_EQ(a, ECONNRESET);
    EXPECT_EQ(b, ECONNRESET);
}

BELAY_TEST_SIM(SimNetwork, WhatWasOnItsWayAtAResetIsDropped, .seeds = 10) {
    auto& net = sim_network::of(sim);
    auto [client, server] = co_await connection();
    net.set_link({.latency = 10ms});
    co_await server.write_all("late data");
    net.reset_connections("10.0.0.1");
    co_await sleep_for(1ms);
    std::array<std::byte, 16> buffer;
    EXPECT_EQ(
        co_await error_of([](tcp_stream& s, std::span<std::byte> to) -> task<> { co_await s.read_some(to); }(client, buffer)),
        ECONNRESET);
    co_await sleep_for(1s);
    EXPECT_EQ(co_await client.read_some(buffer), 0U);
}

BELAY_TEST_SIM(SimNetwork, APairIsNoNetwork, .seeds = 20) {
    auto& net = sim_network::of(sim);
    net.set_link({.latency = 20ms, .jitter = 20ms, .bytes_per_second = 1});
    net.set_faults({.reset = 1, .aborted = 1});
    auto listener = tcp_listener::bind("unix:/tmp/socket");
    auto began = sim.elapsed();
    auto [client, server] = co_await when_all(tcp_stream::connect(listener.local()), listener.accept());
    auto [one, other] = stream_pair();
    std::array<std::byte, 4> buffer;
    for (auto [from, to] : {std::pair{&client, &server}, std::pair{&one, &other}}) {
        co_await from->write_all("abcd");
        co_await to->read_exact(buffer);
        to->shutdown(shutdown_side::read);
        EXPECT_EQ(co_await error_of([](tcp_stream& s) -> task<> { co_await s.write_all("more"); }(*from)), EPIPE);
    }
    EXPECT_LT(sim.elapsed() - began, 1ms);
}

BELAY_TEST_SIM(SimNetwork, WhatATestAsksForFails, .seeds = 5) {
    auto& net = sim_network::of(sim);
    net.fail_next(io_opcode::connect, EINTR);
    net.fail_next(io_opcode::accept, EMFILE);
    auto listener = tcp_listener::bind("10.0.0.1:80");
    // Both are prepared for it: the connect goes on by itself, and the accept tries again.
    auto [client, server] = co_await when_all(tcp_stream::connect(endpoint::parse("10.0.0.1:80")), listener.accept());
    EXPECT_EQ(client.peer(), server.local());
    net.fail_next(io_opcode::recv, EIO);
    auto [one, other] = stream_pair();
    std::array<std::byte, 4> buffer;
    EXPECT_EQ(
        co_await error_of([](tcp_stream& from, std::span<std::byte> to) -> task<> { co_await from.read_some(to); }(one, buffer)),
        EIO);
}

BELAY_TEST_SIM(SimNetwork, AnInterruptedConnectMayBeRefused, .seeds = 5) {
    auto& net = sim_network::of(sim);
    auto listener = tcp_listener::bind("10.0.0.1:80");
    net.set_faults({.refused = 1});
    net.fail_next(io_opcode::connect, EINTR);
    EXPECT_EQ(co_await error_of(tcp_stream::connect(endpoint::parse("10.0.0.1:80"))), ECONNREFUSED);
    net.fail_next(io_opcode::connect, EINTR);
    net.crash("127.0.0.1");
    EXPECT_EQ(co_await error_of(tcp_stream::connect(endpoint::parse("10.0.0.1:80"))), ENETDOWN);
}

TEST(SimNetwork, HostsAreAddressesOfOneMachine) {
    simulation sim;
    auto& net = sim_network::of(sim);
    for (const char* wrong : {"", "host", "10.0.0.1:80", "0.0.0.0", "::", "unix:/x", "@x"}) {
        EXPECT_THROW(net.crash(wrong), std::invalid_argument) << wrong;
        EXPECT_THROW(net.connect_from(wrong), std::invalid_argument) << wrong;
        EXPECT_THROW(sim_files::of(sim).add_disk("/db", {.host = wrong}), std::invalid_argument) << wrong;
    }
    sim_files::of(sim).add_disk("/db", {.host = "0:0:0:0:0:0:0:1"});
    sim_files::of(sim).add_disk("/mapped", {.host = "::ffff:10.0.0.1"});
    net.crash("::1");
    net.crash("10.0.0.1");
    sim.block_on([]() -> task<> {
        EXPECT_EQ(co_await error_of(file::open("/db/f", {.write = true, .create = true})), EIO) << "it crashed with its host";
        EXPECT_EQ(co_await error_of(file::open("/mapped/f", {.write = true, .create = true})), EIO);
    });
}

TEST(SimNetwork, FaultsComeBySeedAndAreMadeSimple) {
    auto unprepared = [](simulation& sim) -> task<> {
        sim_network::of(sim).set_faults({.reset = 30});
        co_await echo_program(sim);
    };
    auto result = kit::explore({.seeds = 500}, unprepared);
    ASSERT_TRUE(result.failure) << "the program does not expect a reset";
    EXPECT_NE(result.failure->what.find("Connection reset by peer"), std::string::npos) << result.failure->what;
    EXPECT_LE(result.failure->schedule.choices.size(), 2U) << result.failure->text();
}

BELAY_TEST_SIM(SimNetwork, DescriptorsOfTheSystemAreTriedBeforeEachStep, .seeds = 5, .twice = true) {
    int ends[2];
    CO_ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    tcp_stream one{descriptor{ends[0]}};
    tcp_stream other{descriptor{ends[1]}};
    std::array<std::byte, 4> buffer;
    auto write = [](tcp_stream& to) -> task<> {
        co_await sleep_for(1ms);
        co_await to.write_all("real");
    };
    co_await when_all(one.read_exact(buffer), write(other));
    EXPECT_EQ(static_cast<char>(buffer[0]), 'r');
    EXPECT_FALSE(co_await try_timeout(1h, one.read_exact(buffer))) << "nobody waits for it in real time";

    signal_set hangup{SIGUSR1};
    auto raise_it = []() -> task<> {
        co_await sleep_for(1ms);
        ::raise(SIGUSR1);
    };
    auto [signal, raised] = co_await when_all(hangup.next(), raise_it());
    EXPECT_EQ(signal.number, SIGUSR1);
}

/// The longest of the times that a byte, a datagram and a write to a file take in 100 runs.
std::array<std::chrono::nanoseconds, 3> longest(std::chrono::nanoseconds jitter) {
    std::array<std::chrono::nanoseconds, 3> most{};
    for (std::uint64_t seed = 0; seed < 100; ++seed) {
        simulation sim{{.seed = seed}};
        sim_files::of(sim).set_disk({.jitter = jitter});
        sim.block_on([&]() -> task<> {
            auto [client, server] = co_await connection();
            auto to = udp_socket::bind("10.0.0.1:53");
            auto f = co_await file::open("/tmp/f", {.write = true, .create = true});
            sim_network::of(sim).set_link({.jitter = jitter});
            auto began = sim.elapsed();
            auto note = [&](std::chrono::nanoseconds& at) {
                at = std::max(at, sim.elapsed() - began);
                began = sim.elapsed();
            };
            std::array<std::byte, 1> byte;
            co_await client.write_all("x");
            co_await server.read_exact(byte);
            note(most[0]);
            co_await to.send_to("x", to.local());
            co_await to.receive(byte);
            note(most[1]);
            co_await f.write_all_at(0, "x");
            note(most[2]);
        });
    }
    return most;
}

TEST(SimNetwork, JitterIsAsLongAsATestSays) {
    for (auto jitter : {std::chrono::nanoseconds{60s}, std::chrono::nanoseconds{24h}}) {
        for (auto most : longest(jitter)) {
            EXPECT_GT(most, jitter / 10 * 9);
            EXPECT_LT(most, jitter + 1ms);
        }
    }
}

BELAY_TEST_SIM(SimNetwork, WhatTakesForEverDoesNotComeEarly, .seeds = 5) {
    auto& net = sim_network::of(sim);
    auto [client, server] = co_await connection();
    auto forever = std::chrono::nanoseconds::max();
    net.set_link({.latency = forever, .jitter = forever, .bytes_per_second = 1});
    std::array<std::byte, 4> buffer;
    co_await client.write_all("abcd");
    co_await server.write_all("abcd");
    EXPECT_FALSE(co_await try_timeout(24h, server.read_exact(buffer)));
    auto listener = tcp_listener::bind("10.0.0.1:90");
    EXPECT_FALSE(co_await try_timeout(24h, tcp_stream::connect(endpoint::parse("10.0.0.1:90"))));
    server.close();
    co_await client.write_some("x");
    EXPECT_FALSE(co_await try_timeout(24h, client.read_exact(buffer)));
}

TEST(SimNetwork, TimesThatAreLessThanNothingAreRefused) {
    simulation sim;
    auto& net = sim_network::of(sim);
    EXPECT_THROW(net.set_link({.latency = -1ns}), std::invalid_argument);
    EXPECT_THROW(net.set_link({.jitter = -1ns}), std::invalid_argument);
    EXPECT_THROW(net.set_link("10.0.0.1", "10.0.0.2", {.jitter = -1ns}), std::invalid_argument);
    auto& files = sim_files::of(sim);
    EXPECT_THROW(files.set_disk({.latency = -1ns}), std::invalid_argument);
    EXPECT_THROW(files.set_disk({.jitter = -1ns}), std::invalid_argument);
    EXPECT_THROW(files.add_disk("/db", {.latency = -1ns}), std::invalid_argument);
}

TEST(SimNetwork, ASocketThatOutlivesItsSimulationIsHarmless) {
    std::optional<tcp_listener> kept;
    {
        simulation sim;
        kept = tcp_listener::bind("10.0.0.1:80");
        EXPECT_EQ(sim_network::of(sim).open_sockets(), 1U);
    }
    kept.reset();
    simulation other;
    EXPECT_EQ(sim_network::of(other).open_sockets(), 0U);
    EXPECT_THROW(sim_network::of(other).partition("nowhere", "10.0.0.1"), std::invalid_argument);
    EXPECT_THROW(sim_network::of(other).set_buffer(0), std::invalid_argument);
}

}  // namespace
}  // namespace belay::io
