// The key-value server and its clients in one simulation: under many seeds, on bad networks, and ended at any moment.
#include <belay/io/sim_network.hpp>
#include <belay/io/tcp_stream.hpp>
#include <belay/runtime/scope.hpp>
#include <belay/runtime/sleep.hpp>
#include <belay/runtime/timeout.hpp>
#include <belay/tests/examples/redis_client.hpp>
#include <belay/tests/kit/everywhere.hpp>
#include <belay/tests/kit/gtest.hpp>

#include <kv_server/options.hpp>
#include <kv_server/server.hpp>

#include <csignal>
#include <string>
#include <system_error>

namespace belay::test {
namespace {

using namespace std::chrono_literals;

/// One request and as many bytes of its answer as it has.
task<std::string> ask(io::tcp_stream& server, std::initializer_list<std::string_view> words, std::size_t answer) {
    std::string text = request(words);
    co_await server.write_all(text);
    std::string got(answer, ' ');
    co_await server.read_exact(std::as_writable_bytes(std::span{got}));
    co_return got;
}

/// Runs the server, the clients beside it, and ends the server as an operator would.
template <class F>
task<> with_server(simulation& sim, F clients) {
    kv::server_options options;
    options.bind = "10.0.0.1";
    kv::server server{options};
    co_await with_scope([&](scope& s) -> task<> {
        s.spawn([&]() -> task<> { co_await server.run(); });
        co_await clients(sim);
        ::raise(SIGTERM);
    });
}

task<io::tcp_stream> connect() { return io::tcp_stream::connect(io::endpoint::parse("10.0.0.1:6379")); }

/// Each client counts on keys of its own and on one that all share.
task<> counting(simulation&) {
    constexpr int clients = 3;
    constexpr int rounds = 2;
    co_await with_scope([&](scope& s) -> task<> {
        for (int i = 0; i < clients; ++i) {
            s.spawn([i]() -> task<> {
                auto server = co_await connect();
                std::string own = "own" + std::to_string(i);
                for (int n = 1; n <= rounds; ++n) {
                    co_await ask(server, {"INCR", "shared"}, 4);
                    EXPECT_EQ(co_await ask(server, {"INCR", own}, 4), ":" + std::to_string(n) + "\r\n");
                }
            });
        }
        co_return;
    });
    auto server = co_await connect();
    EXPECT_EQ(co_await ask(server, {"GET", "shared"}, 7), bulk(std::to_string(clients * rounds)));
}

BELAY_TEST_SIM(KvSimulated, CountsWhateverHappensAtOnce) { co_await with_server(sim, counting); }

BELAY_TEST_SIM(KvSimulated, CountsOnASlowNetworkOfSmallPieces) {
    auto& net = io::sim_network::of(sim);
    net.set_link({.latency = 3ms, .jitter = 10ms});
    net.set_faults({.short_transfer = 2});
    net.set_buffer(64);
    co_await with_server(sim, counting);
}

BELAY_TEST_SIM(KvSimulated, ServesOthersWhenConnectionsBreak) {
    io::sim_network::of(sim).set_faults({.reset = 20});
    co_await with_server(sim, [](simulation& inside) -> task<> {
        co_await with_scope([](scope& s) -> task<> {
            for (int i = 0; i < 3; ++i) {
                s.spawn([]() -> task<> {
                    try {
                        auto server = co_await connect();
                        for (int n = 0; n < 5; ++n) co_await ask(server, {"INCR", "shared"}, 4);
                    } catch (const std::system_error&) {
                        // The connection broke.
                    }
                });
            }
            co_return;
        });
        io::sim_network::of(inside).set_faults({});
        auto server = co_await connect();
        EXPECT_EQ(co_await ask(server, {"PING"}, 7), "+PONG\r\n");
    });
}

TEST(KvSimulated, MayBeStoppedAnywhere) {
    auto result = kit::stop_everywhere({}, [](simulation& sim) { return with_server(sim, counting); });
    EXPECT_FALSE(result.failure) << result.failure->text();
    EXPECT_GT(result.places, 50U);
}

}  // namespace
}  // namespace belay::test
