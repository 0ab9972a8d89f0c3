// A test of the consumer's own: on a runtime, and in a simulation with a network.
#include <belay/belay.hpp>
#include <belay/tests/kit/gtest.hpp>

#include <array>
#include <chrono>

using namespace std::chrono_literals;

BELAY_TEST(Consumer, RunsOnARuntime) {
    co_await belay::sleep_for(1ms);
    CO_ASSERT_TRUE(true);
}

BELAY_TEST_EVERYWHERE(Consumer, RunsInASimulation, .seeds = 20) {
    auto began = std::chrono::steady_clock::now();
    auto listener = belay::io::tcp_listener::bind("10.0.0.1:80");
    auto [client, server] = co_await belay::when_all(belay::io::tcp_stream::connect(listener.local()), listener.accept());
    co_await client.write_all("hello");
    std::array<std::byte, 5> got{};
    co_await server.read_exact(got);
    EXPECT_EQ(static_cast<char>(got[4]), 'o');
    co_await belay::sleep_for(1h);
    EXPECT_GE(std::chrono::steady_clock::now() - began, 1h);
}
