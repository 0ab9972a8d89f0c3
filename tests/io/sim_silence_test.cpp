// Peers of a simulation that do not answer, and keep-alive, by which who only waits learns of it.
#include <belay/io/sim_network.hpp>
#include <belay/io/tcp_listener.hpp>
#include <belay/io/tcp_stream.hpp>
#include <belay/runtime/as_task.hpp>
#include <belay/runtime/simulation.hpp>
#include <belay/runtime/sleep.hpp>
#include <belay/runtime/timeout.hpp>
#include <belay/runtime/when_all.hpp>
#include <belay/tests/kit/everywhere.hpp>
#include <belay/tests/kit/gtest.hpp>

#include <array>
#include <cerrno>
#include <utility>

#include "sim_kit.hpp"

namespace belay::io {
namespace {

using namespace std::chrono_literals;

constexpr keep_alive_times after_25s{.idle = 10s, .interval = 5s, .probes = 3};

/// From 10.0.0.2 to 10.0.0.1:80.
task<std::pair<tcp_stream, tcp_stream>> connection(simulation& sim) {
    sim_network::of(sim).connect_from("10.0.0.2");
    auto listener = tcp_listener::bind("10.0.0.1:80");
    auto [client, server] = co_await when_all(tcp_stream::connect(listener.local()), listener.accept());
    co_return std::pair{std::move(client), std::move(server)};
}

task<int> read_error(tcp_stream& from) {
    std::array<std::byte, 8> buffer;
    co_return co_await error_of(as_task(from.read_some(buffer)));
}

BELAY_TEST_SIM(SimSilence, KeepAliveEndsAConnectionToACrashedHost, .seeds = 10) {
    auto [client, server] = co_await connection(sim);
    client.set_keep_alive(after_25s);
    auto began = sim.elapsed();
    sim_network::of(sim).crash("10.0.0.1");
    EXPECT_EQ(co_await read_error(client), ETIMEDOUT);
    EXPECT_GE(sim.elapsed() - began, 25s);
    EXPECT_LT(sim.elapsed() - began, 26s);
    EXPECT_EQ(co_await error_of(as_task(client.write_all("x"))), EPIPE) << "it is over";
}

BELAY_TEST_SIM(SimSilence, KeepAliveThatIsSwitchedOnLater, .seeds = 10) {
    auto [client, server] = co_await connection(sim);
    sim_network::of(sim).crash("10.0.0.1");
    co_await sleep_for(1h);
    client.set_keep_alive(after_25s);
    auto began = sim.elapsed();
    EXPECT_EQ(co_await read_error(client), ETIMEDOUT);
    EXPECT_GE(sim.elapsed() - began, 25s);
    EXPECT_LT(sim.elapsed() - began, 26s);
}

BELAY_TEST_SIM(SimSilence, WhatWasAskedBeforeTheCrashWasAnswered, .seeds = 10) {
    auto [client, server] = co_await connection(sim);
    client.set_keep_alive(after_25s);
    co_await sleep_for(1h + 4s);
    auto began = sim.elapsed();
    sim_network::of(sim).crash("10.0.0.1");
    EXPECT_EQ(co_await read_error(client), ETIMEDOUT);
    EXPECT_GE(sim.elapsed() - began, 20s) << "4 s after the last answer";
    EXPECT_LT(sim.elapsed() - began, 22s);
}

BELAY_TEST_SIM(SimSilence, ARestartedHostSaysToKeepAliveThatItKnowsNoConnection, .seeds = 10) {
    auto& net = sim_network::of(sim);
    auto [client, server] = co_await connection(sim);
    client.set_keep_alive(after_25s);
    auto began = sim.elapsed();
    net.crash("10.0.0.1");
    server.close();
    co_await sleep_for(12s);  // one question had no answer
    net.restart("10.0.0.1");
    EXPECT_EQ(co_await read_error(client), ECONNRESET);
    EXPECT_GE(sim.elapsed() - began, 15s);
    EXPECT_LT(sim.elapsed() - began, 16s);

    auto [second, server2] = co_await connection(sim);
    net.crash("10.0.0.1");
    net.restart("10.0.0.1");
    second.set_keep_alive(after_25s);
    EXPECT_EQ(co_await read_error(second), ECONNRESET);
}

BELAY_TEST_SIM(SimSilence, APartitionThatHealsBeforeEndsNothing, .seeds = 10) {
    auto& net = sim_network::of(sim);
    auto [client, server] = co_await connection(sim);
    client.set_keep_alive(after_25s);
    server.set_keep_alive(after_25s);
    for (int i = 0; i < 5; ++i) {
        net.partition("10.0.0.1", "10.0.0.2");
        EXPECT_FALSE(co_await try_timeout(14s, read_error(client)));
        net.heal("10.0.0.1", "10.0.0.2");
        co_await sleep_for(12s);
    }
    std::array<std::byte, 4> buffer;
    co_await when_all(server.write_all("late"), client.read_exact(buffer));
}

BELAY_TEST_SIM(SimSilence, APartitionThatLastsEndsBothEnds, .seeds = 10) {
    auto [client, server] = co_await connection(sim);
    client.set_keep_alive(after_25s);
    server.set_keep_alive(after_25s);
    sim_network::of(sim).partition("10.0.0.1", "10.0.0.2");
    auto [at_client, at_server] = co_await when_all(read_error(client), read_error(server));
    EXPECT_EQ(at_client, ETIMEDOUT);
    EXPECT_EQ(at_server, ETIMEDOUT);
}

BELAY_TEST_SIM(SimSilence, WhoHasGivenUpResetsTheOtherEndLater, .seeds = 10) {
    auto& net = sim_network::of(sim);
    auto [client, server] = co_await connection(sim);
    client.set_keep_alive(after_25s);
    net.partition("10.0.0.1", "10.0.0.2");
    co_await server.write_all("held back");
    EXPECT_EQ(co_await read_error(client), ETIMEDOUT);
    net.heal("10.0.0.1", "10.0.0.2");
    EXPECT_EQ(co_await read_error(server), ECONNRESET);
    std::array<std::byte, 16> buffer;
    EXPECT_EQ(co_await client.read_some(buffer), 0U) << "what arrives after the end is nobody's";

    auto [client2, server2] = co_await connection(sim);
    client2.set_keep_alive(after_25s);
    server2.set_keep_alive({.idle = 60s, .interval = 5s, .probes = 3});
    net.partition("10.0.0.1", "10.0.0.2");
    EXPECT_EQ(co_await read_error(client2), ETIMEDOUT);
    net.heal("10.0.0.1", "10.0.0.2");
    EXPECT_EQ(co_await read_error(server2), ECONNRESET) << "its next question finds that the connection has gone";
}

BELAY_TEST_SIM(SimSilence, WhatWasSentIsRepeatedForLongerThanIsAsked, .seeds = 10) {
    auto& net = sim_network::of(sim);
    auto [client, server] = co_await connection(sim);
    client.set_keep_alive(after_25s);
    net.partition("10.0.0.1", "10.0.0.2");
    co_await client.write_all("ask!");
    EXPECT_FALSE(co_await try_timeout(10min, read_error(client)));
    net.heal("10.0.0.1", "10.0.0.2");
    std::array<std::byte, 4> buffer;
    co_await server.read_exact(buffer);

    net.partition("10.0.0.1", "10.0.0.2");
    co_await client.write_all("ask!");
    EXPECT_EQ(co_await read_error(client), ETIMEDOUT);
}

}  // namespace
}  // namespace belay::io
