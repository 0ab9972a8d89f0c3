// How much a stream moves, and in what pieces.
#include <belay/io/error.hpp>

#include <algorithm>
#include <array>
#include <cstring>
#include <span>

#include "socket_kit.hpp"

namespace belay::testing {
namespace {

using io::tcp_stream;

TEST(TcpTransfer, MovesSixtyFourMebibytesToASlowReader) {
    constexpr std::size_t total = 64 << 20;
    const auto data = pattern(0, total);
    run([&]() -> task<> {
        auto [a, b] = co_await tcp_pair();
        auto read_slowly = [](tcp_stream peer, std::span<const std::byte> expected) -> task<std::size_t> {
            std::vector<std::byte> buffer(300'000);
            std::size_t position = 0;
            bool same = true;
            while (const std::size_t n = co_await peer.read_some(buffer)) {
                same = same && std::memcmp(buffer.data(), expected.data() + position, n) == 0;
                position += n;
                co_await yield_times(3);
            }
            EXPECT_TRUE(same);
            co_return position;
        };
        auto write = [](tcp_stream peer, std::span<const std::byte> all) -> task<std::size_t> {
            std::size_t transferred = 1;
            co_await peer.write_all(all, transferred);
            peer.close();  // a branch's arguments live until all branches have ended
            co_return transferred;
        };
        auto [sent, received] = co_await when_all(write(std::move(a), data), read_slowly(std::move(b), data));
        EXPECT_EQ(sent, total);
        EXPECT_EQ(received, total);
    });
}

TEST(TcpTransfer, GathersMoreBuffersThanOneCallTakes) {
    run([]() -> task<> {
        auto [a, b] = co_await tcp_pair();
        std::vector<std::vector<std::byte>> parts;
        std::vector<io::const_buffer> buffers;
        std::size_t total = 0;
        for (std::size_t i = 0; i < 5 * io::max_buffers_per_call; ++i) {
            parts.push_back(pattern(total, i % 7 == 3 ? 0 : i * 977));  // empty ones in between
            total += parts.back().size();
        }
        for (const auto& part : parts) buffers.emplace_back(part);
        auto receive = [](tcp_stream& from, std::size_t count) -> task<bool> {
            std::vector<std::byte> all(count);
            co_await from.read_exact(all);
            co_return all == pattern(0, count);
        };
        std::size_t transferred = 0;
        auto [sent, same] = co_await when_all(a.write_all(buffers, transferred), receive(b, total));
        EXPECT_EQ(transferred, total);
        EXPECT_TRUE(same);
    });
}

TEST(TcpTransfer, ScattersIntoSeveralBuffers) {
    run([]() -> task<> {
        auto [a, b] = co_await tcp_pair();
        co_await a.write_all("headerbody");
        std::array<std::byte, 6> header;
        std::array<std::byte, 10> body;
        const std::array<io::mutable_buffer, 3> parts{header, io::mutable_buffer{}, body};
        EXPECT_EQ(co_await b.read_some(parts), 10U);
        EXPECT_EQ(std::memcmp(header.data(), "header", 6), 0);
        EXPECT_EQ(std::memcmp(body.data(), "body", 4), 0);
    });
}

TEST(TcpTransfer, NothingToTransferEndsAtOnce) {
    run([]() -> task<> {
        auto [a, b] = co_await tcp_pair();
        EXPECT_EQ(co_await a.read_some(io::mutable_buffer{}), 0U);
        EXPECT_EQ(co_await a.read_some(std::span<const io::mutable_buffer>{}), 0U);
        EXPECT_EQ(co_await a.write_some(""), 0U);
        EXPECT_EQ(co_await a.write_some(std::span<const io::const_buffer>{}), 0U);
        const std::array<io::const_buffer, 2> empty{};
        co_await a.write_all("");
        co_await a.write_all(empty);
        co_await a.read_exact(io::mutable_buffer{});
    });
}

TEST(TcpTransfer, ReadExactSaysHowFarItCameWhenThePeerLeaves) {
    run([]() -> task<> {
        auto [a, b] = co_await tcp_pair();
        co_await a.write_all("12345");
        a.close();
        std::array<std::byte, 8> buffer;
        std::size_t transferred = 99;
        auto [code, text] = co_await error_of(as_task(b.read_exact(buffer, transferred)));
        EXPECT_EQ(code, io::errc::end_of_stream);
        EXPECT_TRUE(contains(text, "read_exact (peer 127.0.0.1:")) << text;
        EXPECT_EQ(transferred, 5U);
    });
}

TEST(TcpTransfer, ReadExactWaitsForAllOfIt) {
    run([]() -> task<> {
        auto [a, b] = co_await tcp_pair();
        auto dribble = [](tcp_stream& to) -> task<> {
            for (const char* piece : {"a", "bc", "def", "ghij"}) {
                co_await to.write_all(piece);
                co_await yield_times(5);
            }
        };
        std::array<std::byte, 10> buffer;
        std::size_t transferred = 0;
        co_await when_all(b.read_exact(buffer, transferred), dribble(a));
        EXPECT_EQ(transferred, 10U);
        EXPECT_EQ(std::memcmp(buffer.data(), "abcdefghij", 10), 0);
    });
}

TEST(TcpTransfer, ReadsAndWritesOverlap) {
    run([]() -> task<> {
        auto [a, b] = co_await tcp_pair();
        constexpr std::size_t total = 4 << 20;
        auto receive = [](tcp_stream& from) -> task<bool> {
            std::vector<std::byte> all(total);
            co_await from.read_exact(all);
            co_return all == pattern(0, total);
        };
        const auto data = pattern(0, total);
        auto [w1, w2, r1, r2] = co_await when_all(a.write_all(data), b.write_all(data), receive(a), receive(b));
        EXPECT_TRUE(r1);
        EXPECT_TRUE(r2);
    });
}

}  // namespace
}  // namespace belay::testing
