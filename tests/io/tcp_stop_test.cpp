// A stop of a socket operation in flight loses nothing: promise 2, by racing stops against results.
#include <belay/runtime/scope.hpp>
#include <belay/runtime/timeout.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <span>

#include "socket_kit.hpp"

namespace belay::testing {
namespace {

using io::tcp_stream;

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
        RecordProperty("stops_that_won", std::to_string(stopped));  // how many is the scheduler's choice
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
        RecordProperty("stops_that_won", std::to_string(stopped));  // how many is the scheduler's choice
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

}  // namespace
}  // namespace belay::testing
