// TCP over loopback, server and clients on one runtime: 64 bytes there and back, one message outstanding on each connection.
// Per message. Half of the system calls are the clients'; bench/compare has the server by itself.
#include <belay/bench/measure.hpp>
#include <belay/io/tcp_listener.hpp>
#include <belay/io/tcp_stream.hpp>
#include <belay/runtime/scope.hpp>

#include <array>
#include <cstddef>
#include <span>
#include <utility>
#include <vector>

namespace {

namespace io = belay::io;

constexpr std::size_t message_size = 64;

belay::task<> echo(io::tcp_stream peer) {
    std::array<std::byte, 4096> buffer;
    while (std::size_t n = co_await peer.read_some(buffer)) co_await peer.write_all(std::span(buffer).first(n));
}

belay::task<> converse(io::tcp_stream* server, int messages) {
    std::array<std::byte, message_size> message{};
    for (int i = 0; i < messages; ++i) {
        co_await server->write_all(message);
        co_await server->read_exact(message);
    }
}

// The arguments are workers and connections.
belay::task<> tcp_echo(benchmark::State& state) {
    const auto connections = static_cast<int>(state.range(1));
    const int messages = 640 / connections;  // on each connection: a round is 640, however many share them
    auto listener = io::tcp_listener::bind("127.0.0.1:0");
    const auto where = listener.local();

    co_await belay::with_scope([&](belay::scope& servers) -> belay::task<> {
        std::vector<io::tcp_stream> clients;
        for (int i = 0; i < connections; ++i) {
            clients.push_back(co_await io::tcp_stream::connect(where));  // the backlog has room: nobody need accept yet
            servers.spawn(echo, co_await listener.accept());
        }
        while (state.KeepRunningBatch(connections * messages)) {
            co_await belay::with_scope([&](belay::scope& s) -> belay::task<> {
                for (auto& client : clients) s.spawn(converse, &client, messages);
                co_return;
            });
        }
    });  // the clients have closed their connections, so the servers end
}
BENCHMARK(bench::on_workers<tcp_echo>)
    ->Name("tcp_echo")
    ->ArgNames({"workers", "connections"})
    ->ArgsProduct({{1, 2}, {1, 64}})
    ->Apply(bench::with_both_clocks);

}  // namespace

BENCHMARK_MAIN();
