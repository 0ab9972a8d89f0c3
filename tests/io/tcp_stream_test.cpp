#include <belay/io/error.hpp>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <span>

#include "socket_kit.hpp"

namespace belay::testing {
namespace {

using io::tcp_stream;

static_assert(sizeof(tcp_stream) <= 8);
static_assert(sizeof(io::detail::send_awaiter) == sizeof(belay::detail::io_operation));
static_assert(sizeof(io::detail::recv_awaiter) <= sizeof(belay::detail::io_operation) + sizeof(void*));

task<> echo(tcp_stream peer) {
    std::array<std::byte, 512> buffer;
    while (const std::size_t n = co_await peer.read_some(buffer)) co_await peer.write_all(std::span(buffer).first(n));
}

task<std::string> read_to_end(tcp_stream& peer) {
    std::string text;
    std::array<std::byte, 100> buffer;
    while (const std::size_t n = co_await peer.read_some(buffer)) text.append(reinterpret_cast<const char*>(buffer.data()), n);
    co_return text;
}

TEST(TcpStream, EchoesOverTcp) {
    run([]() -> task<> {
        auto [server, client] = co_await tcp_pair();
        auto talk = [](tcp_stream peer) -> task<> {
            const auto sent = pattern(0, 100'000);
            co_await when_all(peer.write_all(sent), [](tcp_stream& from, std::span<const std::byte> expected) -> task<> {
                std::vector<std::byte> received(expected.size());
                co_await from.read_exact(received);
                EXPECT_TRUE(std::ranges::equal(received, expected));
                from.shutdown(io::shutdown_side::write);
            }(peer, sent));
        };
        co_await when_all(echo(std::move(server)), talk(std::move(client)));
    });
}

TEST(TcpStream, ReadsWhatIsThereAndNoMoreThanAskedFor) {
    run([]() -> task<> {
        auto [a, b] = co_await tcp_pair();
        co_await a.write_all("abcdefg");
        std::array<std::byte, 3> three;
        std::array<std::byte, 64> many;
        EXPECT_EQ(co_await b.read_some(three), 3U);
        EXPECT_EQ(co_await b.read_some(many), 4U);
        EXPECT_EQ(many[0], std::byte{'d'});
    });
}

TEST(TcpStream, TheEndOfTheStreamIsZeroAndStaysZero) {
    run([]() -> task<> {
        auto [a, b] = co_await tcp_pair();
        co_await a.write_all("last words");
        a.close();
        EXPECT_FALSE(a.is_open());
        EXPECT_EQ(co_await read_to_end(b), "last words");
        std::array<std::byte, 8> buffer;
        EXPECT_EQ(co_await b.read_some(buffer), 0U);
        EXPECT_EQ(co_await b.read_some(buffer), 0U);
    });
}

TEST(TcpStream, AfterShutdownOfOneSideTheOtherStillTalks) {
    run([]() -> task<> {
        auto [a, b] = co_await tcp_pair();
        co_await a.write_all("question");
        a.shutdown(io::shutdown_side::write);
        EXPECT_EQ(co_await read_to_end(b), "question");
        co_await b.write_all("answer");
        b.close();
        EXPECT_EQ(co_await read_to_end(a), "answer");
        EXPECT_NO_THROW(a.shutdown(io::shutdown_side::both));
    });
}

TEST(TcpStream, ShutdownEndsAReadInFlight) {
    run([]() -> task<> {
        auto [a, b] = co_await tcp_pair();
        auto shut = [](tcp_stream& stream) -> task<> {
            co_await yield_times(20);
            stream.shutdown(io::shutdown_side::read);
        };
        std::array<std::byte, 8> buffer;
        auto [n, done] = co_await when_all(a.read_some(buffer), shut(a));
        EXPECT_EQ(n, 0U);
    });
}

TEST(TcpStream, AResetIsAnErrorThatNamesTheOperation) {
    run([]() -> task<> {
        auto [a, b] = co_await tcp_pair();
        reset_on_close(a);
        a.close();
        auto [code, text] = co_await error_of([](tcp_stream& peer) -> task<> {
            std::array<std::byte, 8> buffer;
            co_await peer.read_some(buffer);
        }(b));
        EXPECT_EQ(code, std::errc::connection_reset);
        EXPECT_TRUE(contains(text, "belay: tcp_stream: read (")) << text;
        EXPECT_TRUE(contains(text, "127.0.0.1:")) << text;
        EXPECT_NO_THROW(b.shutdown(io::shutdown_side::both));
    });
}

TEST(TcpStream, WritingToAPeerThatLeftIsAnErrorAndNotASignal) {
    run([]() -> task<> {
        auto [a, b] = io::stream_pair();
        b.close();
        for (int vectored = 0; vectored < 2; ++vectored) {
            auto [code, text] = co_await error_of([](tcp_stream& peer, bool gather) -> task<> {
                const std::array parts{io::as_buffer("some"), io::as_buffer("thing")};
                if (gather) co_await peer.write_all(parts);
                co_await peer.write_some("something");
            }(a, vectored != 0));
            EXPECT_EQ(code, std::errc::broken_pipe);
            EXPECT_TRUE(contains(text, "tcp_stream: write")) << text;
        }
    });
}

TEST(TcpStream, AStreamThatIsNotConnectedSaysSo) {
    run([]() -> task<> {
        tcp_stream none;
        EXPECT_EQ((co_await error_of(as_task(none.write_all("x")))).first, std::errc::bad_file_descriptor);
        EXPECT_THROW(static_cast<void>(none.local()), std::system_error);
        EXPECT_THROW(static_cast<void>(none.peer()), std::system_error);
    });
}

TEST(TcpStream, KnowsBothItsEnds) {
    run([]() -> task<> {
        auto [a, b] = co_await tcp_pair();
        EXPECT_EQ(a.local(), b.peer());
        EXPECT_EQ(a.peer(), b.local());
        EXPECT_NE(a.local(), a.peer());
    });
}

int option_of(const tcp_stream& stream, int level, int name) {
    int value = -1;
    socklen_t length = sizeof(value);
    EXPECT_EQ(::getsockopt(stream.native_handle(), level, name, &value, &length), 0);
    return value;
}

TEST(TcpStream, SetsWhatItIsTold) {
    run([]() -> task<> {
        auto [a, b] = co_await tcp_pair();
        EXPECT_NE(option_of(a, IPPROTO_TCP, TCP_NODELAY), 0) << "on from the start";
        EXPECT_NE(option_of(b, IPPROTO_TCP, TCP_NODELAY), 0) << "on from the start";
        a.set_no_delay(io::toggle::off);
        EXPECT_EQ(option_of(a, IPPROTO_TCP, TCP_NODELAY), 0);
        a.set_keep_alive({.idle = std::chrono::seconds{7}, .interval = std::chrono::seconds{3}, .probes = 2});
        EXPECT_NE(option_of(a, SOL_SOCKET, SO_KEEPALIVE), 0);
        EXPECT_EQ(option_of(a, IPPROTO_TCP, TCP_KEEPIDLE), 7);
        EXPECT_EQ(option_of(a, IPPROTO_TCP, TCP_KEEPINTVL), 3);
        EXPECT_EQ(option_of(a, IPPROTO_TCP, TCP_KEEPCNT), 2);
        a.set_keep_alive(io::toggle::off);
        EXPECT_EQ(option_of(a, SOL_SOCKET, SO_KEEPALIVE), 0);
        a.set_receive_buffer(20'000);
        a.set_send_buffer(30'000);
        EXPECT_EQ(option_of(a, SOL_SOCKET, SO_RCVBUF), 40'000);
        EXPECT_EQ(option_of(a, SOL_SOCKET, SO_SNDBUF), 60'000);
        EXPECT_THROW(a.set_keep_alive({.idle = std::chrono::seconds{0}}), std::invalid_argument);
        EXPECT_THROW(a.set_keep_alive({.probes = 0}), std::invalid_argument);
        EXPECT_THROW(io::stream_pair().first.set_no_delay(io::toggle::on), std::system_error);
    });
}

TEST(TcpStream, OwnsItsSocketAlone) {
    run([]() -> task<> {
        auto [a, b] = co_await tcp_pair();
        const int fd = a.native_handle();
        tcp_stream moved{std::move(a)};
        EXPECT_FALSE(a.is_open());
        EXPECT_EQ(moved.native_handle(), fd);
        tcp_stream again{moved.release()};
        EXPECT_FALSE(moved.is_open());
        co_await again.write_all("x");
        again = tcp_stream{};
        EXPECT_EQ(co_await read_to_end(b), "x");
    });
}

TEST(TcpStream, TalksOverUnixSockets) {
    run([]() -> task<> {
        const auto path = std::filesystem::temp_directory_path() / ("belay_stream_" + std::to_string(::getpid()));
        for (const std::string& where : {"unix:" + path.string(), "unix:@belay_stream_" + std::to_string(::getpid())}) {
            auto listener = io::tcp_listener::bind(where);
            EXPECT_EQ(listener.local().to_string(), where);
            auto [server, client] = co_await when_all(listener.accept(), tcp_stream::connect(where));
            EXPECT_EQ(client.peer().to_string(), where);
            EXPECT_EQ(server.peer().to_string(), "unix:");
            co_await client.write_all("over a file");
            client.close();
            EXPECT_EQ(co_await read_to_end(server), "over a file");
        }
        std::filesystem::remove(path);
    });
}

TEST(TcpStream, AConnectionThatNobodyAcceptsIsAnErrorThatNamesThePeer) {
    run([]() -> task<> {
        auto gone = io::tcp_listener::bind("127.0.0.1:0");
        const auto nobody = gone.local();
        gone.close();
        auto [code, text] = co_await error_of([](io::endpoint peer) -> task<> { co_await tcp_stream::connect(peer); }(nobody));
        EXPECT_EQ(code, std::errc::connection_refused);
        EXPECT_TRUE(contains(text, "connect to " + nobody.to_string())) << text;
    });
}

TEST(TcpStream, ConnectsByName) {
    if (!knows_localhost()) GTEST_SKIP() << "this machine does not know the name localhost";
    run([]() -> task<> {
        auto listener = io::tcp_listener::bind("127.0.0.1:0");
        const auto where = "localhost:" + std::to_string(listener.local().port());
        auto [server, client] = co_await when_all(listener.accept(), tcp_stream::connect(where));
        EXPECT_EQ(client.peer().port(), listener.local().port());
        EXPECT_THROW(co_await tcp_stream::connect("no port"), std::invalid_argument);
        EXPECT_THROW(co_await tcp_stream::connect("too:many:colons"), std::invalid_argument);
    });
}

}  // namespace
}  // namespace belay::testing
