// A stop of an accept or a connect in flight loses neither a connection nor a descriptor.
#include <belay/runtime/scope.hpp>

#include <array>
#include <atomic>

#include "socket_kit.hpp"

namespace belay::testing {
namespace {

using io::tcp_listener;
using io::tcp_stream;

TEST(TcpStopConnection, AStoppedAcceptLosesNoConnectionAndNoDescriptor) {
    run([]() -> task<> {
        auto listener = tcp_listener::bind("127.0.0.1:0");
        const auto before = open_descriptors();
        auto accept_all = [](tcp_listener& from) -> task<int> {
            int stopped = 0;
            int accepted = 0;
            for (int round = 0; accepted < races; ++round) {
                auto won = co_await race(from.accept(), round);
                auto& peer = std::get<0>(won.values);
                if (!peer) {
                    ++stopped;
                    continue;
                }
                ++accepted;
                std::array<std::byte, 2> buffer;
                EXPECT_EQ(co_await peer->read_some(buffer), 1U);
            }
            co_return stopped;
        };
        auto connect_all = [](io::endpoint where) -> task<> {
            for (int i = 0; i < races; ++i) {
                auto client = co_await tcp_stream::connect(where);
                co_await client.write_all("x");
            }
        };
        auto [stopped, done] = co_await when_all(accept_all(listener), connect_all(listener.local()));
        RecordProperty("stops_that_won", std::to_string(stopped));  // how many is the scheduler's choice
        EXPECT_LE(open_descriptors(), before);
    });
}

TEST(TcpStopConnection, AStoppedConnectLeaksNothing) {
    run([]() -> task<> {
        auto listener = tcp_listener::bind("127.0.0.1:0");
        const auto before = open_descriptors();
        int connected = 0;
        auto connect_all = [](io::endpoint where, int& made) -> task<> {
            for (int round = 0; round < races; ++round) {
                auto won = co_await race(tcp_stream::connect(where), round);
                if (auto& peer = std::get<0>(won.values)) {
                    ++made;
                    co_await peer->write_all("x");
                }
            }
        };
        // Accepts until all connections that were made have said their word; given-up ones come as empty streams.
        auto accept_all = [](tcp_listener& from, std::atomic<int>& heard) -> task<> {
            for (;;) {
                auto peer = co_await from.accept();
                std::array<std::byte, 2> buffer;
                try {
                    if (co_await peer.read_some(buffer) == 1) ++heard;
                } catch (const std::system_error&) {  // reset: given up
                }
            }
        };
        auto heard_all = [](io::endpoint where, int& made, std::atomic<int>& heard, auto connect) -> task<> {
            co_await connect(where, made);
            while (heard.load() < made) co_await yield();
        };
        std::atomic<int> heard{0};
        co_await when_any(accept_all(listener, heard), heard_all(listener.local(), connected, heard, connect_all));
        EXPECT_EQ(heard.load(), connected);
        EXPECT_GT(connected, 0);
        EXPECT_LE(open_descriptors(), before);
    });
}

TEST(TcpStopConnection, ManyConnectionsStopTogether) {
    run([]() -> task<> {
        const auto before = open_descriptors();
        co_await with_scope([](scope& s) -> task<> {
            for (int i = 0; i < 100; ++i) {
                s.spawn([]() -> task<> {
                    auto [a, b] = co_await tcp_pair();
                    auto reads = [](tcp_stream& peer) -> task<> {
                        std::array<std::byte, 16> buffer;
                        co_await peer.read_some(buffer);
                    };
                    co_await when_all(reads(a), reads(b));
                });
            }
            co_await yield_times(50);
            s.request_stop();
        });
        EXPECT_LE(open_descriptors(), before);
    });
}

}  // namespace
}  // namespace belay::testing
