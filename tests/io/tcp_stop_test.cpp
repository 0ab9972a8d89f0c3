// A stop of a socket operation in flight loses nothing: promise 2, by racing stops against results.
#include <belay/runtime/scope.hpp>
#include <belay/runtime/timeout.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <span>

#include "socket_kit.hpp"

namespace belay::testing {
namespace {

using io::tcp_listener;
using io::tcp_stream;
constexpr int races = 1000;

/// Awaits `work` against a rival that ends after a number of turns that differs from race to race. A task must not be
/// stopped before it runs for the race to be one, hence the order.
template <class Work>
auto race(Work work, int round) {
    return when_any(std::move(work), yield_times(round % 13));
}

TEST(TcpStop, AStoppedReadTookNothing) {
    run([]() -> task<> {
        auto [a, b] = co_await tcp_pair();
        int stopped = 0;
        auto send = [](tcp_stream peer) -> task<> {
            for (int i = 0; i < races; ++i) {
                co_await peer.write_all(pattern(static_cast<std::size_t>(3 * i), 3));
                co_await yield_times(i % 7);
            }
            peer.close();  // a branch's arguments live until all branches have ended
        };
        auto receive = [](tcp_stream peer, int& stops) -> task<std::vector<std::byte>> {
            std::vector<std::byte> all;
            std::array<std::byte, 2> buffer;
            for (int round = 0;; ++round) {
                auto won = co_await race(peer.read_some(buffer), round);
                const auto n = std::get<0>(won.values);
                if (!n) ++stops;
                if (n && *n == 0) co_return all;
                if (n) all.insert(all.end(), buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(*n));
            }
        };
        auto [done, received] = co_await when_all(send(std::move(a)), receive(std::move(b), stopped));
        EXPECT_EQ(received, pattern(0, 3 * races));
        EXPECT_GT(stopped, 0) << "no stop ever won: the test tests nothing";
    });
}

TEST(TcpStop, AStoppedWriteSentNothingAndAStoppedWriteAllWhatItSays) {
    run([]() -> task<> {
        auto [a, b] = co_await tcp_pair();
        a.set_send_buffer(8'000);
        b.set_receive_buffer(8'000);
        constexpr std::size_t chunk = 20'000;
        std::size_t stopped = 0;
        auto send = [](tcp_stream peer, std::size_t& stops) -> task<std::size_t> {
            std::size_t position = 0;
            for (int round = 0; round < races; ++round) {
                const auto data = pattern(position, chunk);
                std::size_t transferred = 0;
                if (round % 2 == 0) {
                    auto won = co_await race(peer.write_all(data, transferred), round);
                    if (!std::get<0>(won.values)) ++stops;
                } else {
                    auto won = co_await race(peer.write_some(data), round);
                    transferred = std::get<0>(won.values).value_or(0);
                }
                position += transferred;
            }
            peer.close();
            co_return position;
        };
        auto receive = [](tcp_stream peer) -> task<std::vector<std::byte>> {
            std::vector<std::byte> all;
            std::array<std::byte, 3'000> buffer;
            while (const std::size_t n = co_await peer.read_some(buffer))
                all.insert(all.end(), buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(n));
            co_return all;
        };
        auto [sent, received] = co_await when_all(send(std::move(a), stopped), receive(std::move(b)));
        EXPECT_EQ(received.size(), sent);
        EXPECT_EQ(received, pattern(0, sent));
        EXPECT_GT(stopped, 0U);
    });
}

TEST(TcpStop, AStoppedReadExactSaysHowMuchItHas) {
    run([]() -> task<> {
        auto [a, b] = co_await tcp_pair();
        constexpr std::size_t total = 200'000;
        auto send = [](tcp_stream peer) -> task<> {
            const auto data = pattern(0, total);
            for (auto rest = std::span(data); !rest.empty();) {
                const auto piece = rest.first(std::min<std::size_t>(rest.size(), 701));
                co_await peer.write_all(piece);
                rest = rest.subspan(piece.size());
                co_await yield();
            }
        };
        auto receive = [](tcp_stream peer) -> task<std::vector<std::byte>> {
            std::vector<std::byte> all(total);
            std::size_t position = 0;
            for (int round = 0; position < total; ++round) {
                const auto want = std::min<std::size_t>(total - position, 3'000);
                std::size_t transferred = 0;
                co_await race(peer.read_exact(std::span(all).subspan(position, want), transferred), round);
                position += transferred;
            }
            co_return all;
        };
        auto [done, received] = co_await when_all(send(std::move(a)), receive(std::move(b)));
        EXPECT_EQ(received, pattern(0, total));
    });
}

TEST(TcpStop, AStoppedVectoredReadTookNothing) {
    run([]() -> task<> {
        auto [a, b] = co_await tcp_pair();
        auto send = [](tcp_stream peer) -> task<> {
            for (int i = 0; i < races; ++i) {
                const auto data = pattern(static_cast<std::size_t>(5 * i), 5);
                const std::array<io::const_buffer, 2> parts{std::span(data).first(2), std::span(data).subspan(2)};
                co_await peer.write_all(parts);
                co_await yield_times(i % 5);
            }
            peer.close();
        };
        auto receive = [](tcp_stream peer) -> task<std::vector<std::byte>> {
            std::vector<std::byte> all;
            std::array<std::byte, 4> buffer;
            const std::array<io::mutable_buffer, 2> parts{std::span(buffer).first(1), std::span(buffer).subspan(1)};
            for (int round = 0;; ++round) {
                auto won = co_await race(peer.read_some(parts), round);
                const auto n = std::get<0>(won.values);
                if (n && *n == 0) co_return all;
                if (n) all.insert(all.end(), buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(*n));
            }
        };
        auto [done, received] = co_await when_all(send(std::move(a)), receive(std::move(b)));
        EXPECT_EQ(received, pattern(0, 5 * races));
    });
}

TEST(TcpStop, AStoppedAcceptLosesNoConnectionAndNoDescriptor) {
    run([]() -> task<> {
        auto listener = tcp_listener::bind("127.0.0.1:0");
        const auto before = open_descriptors();
        std::vector<tcp_stream> accepted;
        auto accept_all = [](tcp_listener& from, std::vector<tcp_stream>& into) -> task<> {
            for (int round = 0; into.size() < races; ++round) {
                auto won = co_await race(from.accept(), round);
                if (auto& peer = std::get<0>(won.values)) into.push_back(std::move(*peer));
                if (into.size() % 100 == 99) co_await yield();
            }
        };
        // Each client waits for its turn to be answered, so that every connection is one accept.
        auto connect_all = [](io::endpoint where) -> task<> {
            for (int i = 0; i < races; ++i) {
                auto client = co_await tcp_stream::connect(where);
                co_await client.write_all("x");
            }
        };
        co_await when_all(accept_all(listener, accepted), connect_all(listener.local()));
        EXPECT_EQ(accepted.size(), std::size_t{races});
        for (auto& peer : accepted) {
            std::array<std::byte, 2> buffer;
            EXPECT_EQ(co_await peer.read_some(buffer), 1U);
        }
        accepted.clear();
        EXPECT_LE(open_descriptors(), before);
    });
}

TEST(TcpStop, AStoppedConnectLeaksNothing) {
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

TEST(TcpStop, EndsAReadThatWouldWaitForever) {
    run([]() -> task<> {
        auto [a, b] = co_await tcp_pair();
        std::array<std::byte, 8> buffer;
        const auto n = co_await try_timeout(std::chrono::milliseconds{1}, a.read_some(buffer));
        EXPECT_FALSE(n.has_value());
        co_await b.write_all("still there");
        EXPECT_EQ(co_await a.read_some(buffer), 8U);
    });
}

TEST(TcpStop, InAStoppedScopeNoOperationBegins) {
    run([]() -> task<> {
        auto [a, b] = co_await tcp_pair();
        bool came_back = false;
        co_await b.write_all("data is ready");
        co_await with_scope([&](scope& s) -> task<> {
            s.request_stop();
            std::array<std::byte, 4> buffer;
            co_await a.read_some(buffer);
            came_back = true;
        });
        EXPECT_FALSE(came_back);
        std::array<std::byte, 32> buffer;
        EXPECT_EQ(co_await a.read_some(buffer), 13U);
    });
}

TEST(TcpStop, ManyConnectionsStopTogether) {
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
