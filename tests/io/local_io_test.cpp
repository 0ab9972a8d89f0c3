// I/O on a local_runtime, driven by a host that knows nothing but poll(2) and native_handle(). On both drivers.
#include <belay/io/tcp_listener.hpp>
#include <belay/io/tcp_stream.hpp>
#include <belay/runtime/blocking.hpp>
#include <belay/runtime/local_runtime.hpp>
#include <belay/runtime/runtime.hpp>
#include <belay/runtime/scope.hpp>
#include <belay/runtime/sleep.hpp>
#include <belay/runtime/timeout.hpp>
#include <belay/tests/runtime/local_kit.hpp>
#include <belay/tests/runtime/support.hpp>

#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <span>
#include <thread>
#include <utility>

namespace belay {
namespace {

using namespace test;

class LocalIo : public Suite {};

task<> echo(io::tcp_stream peer) {
    std::array<std::byte, 4096> buffer;
    while (std::size_t n = co_await peer.read_some(buffer)) co_await peer.write_all(std::span(buffer).first(n));
}

task<> converse(io::endpoint where, int messages, int& done) {
    auto server = co_await io::tcp_stream::connect(where);
    std::array<std::byte, 64> message{};
    for (int i = 0; i < messages; ++i) {
        message.fill(static_cast<std::byte>(i));
        auto expected = message;
        co_await server.write_all(message);
        message.fill(std::byte{0xff});
        co_await server.read_exact(message);
        EXPECT_EQ(message, expected);
    }
    ++done;
}

/// Serves the runtime as a host does until no task is left; the number of poll(2) calls.
int serve_until_done(local_runtime& rt) {
    int waits = 0;
    while (rt.metrics().live_tasks != 0) {
        wait_readable(rt);
        ++waits;
        rt.poll();
    }
    return waits;
}

TEST_F(LocalIo, EchoesOverTcpInAHostsLoop) {
    local_runtime rt{local_options()};
    auto listener = io::tcp_listener::bind("127.0.0.1:0");
    auto where = listener.local();
    constexpr int connections = 8;
    constexpr int messages = 100;
    int done = 0;
    rt.spawn(
        [](io::tcp_listener in) -> task<> {
            co_await with_scope([&](scope& s) -> task<> {
                for (int i = 0; i < connections; ++i) s.spawn(echo, co_await in.accept());
            });
        },
        std::move(listener));
    for (int i = 0; i < connections; ++i) rt.spawn_at(std::source_location::current(), converse, where, messages, std::ref(done));
    serve_until_done(rt);
    EXPECT_EQ(done, connections);
    rt.poll();
    EXPECT_FALSE(readable(rt));
}

TEST_F(LocalIo, EchoesWithAPeerInAnotherRuntime) {
    local_runtime near{local_options()};
    runtime far{options(2)};
    auto listener = io::tcp_listener::bind("127.0.0.1:0");
    auto where = listener.local();
    constexpr int messages = 300;
    std::atomic<bool> ended{false};
    near.spawn([](io::tcp_listener in) -> task<> { co_await echo(co_await in.accept()); }, std::move(listener));
    far.spawn([&ended, where]() -> task<> {
        int done = 0;
        co_await converse(where, messages, done);
        ended = done == 1;
    });
    // Each message is one thing that becomes ready: what the host is woken for beside that is bounded.
    int waits = serve_until_done(near);
    EXPECT_LE(waits, 4 * messages + 50);
    wait_until([&] { return ended.load(); });
}

// Data that no task reads yet, on a connection that is open: the host must not be woken for it again and again.
TEST_F(LocalIo, DataThatNobodyReadsDoesNotKeepTheHandleReadable) {
    local_runtime rt{local_options()};
    auto listener = io::tcp_listener::bind("127.0.0.1:0");
    auto where = listener.local();
    auto [here, there] = rt.run_until([&]() -> task<std::pair<io::tcp_stream, io::tcp_stream>> {
        auto client = co_await io::tcp_stream::connect(where);
        auto server = co_await listener.accept();
        std::array<std::byte, 1> one{std::byte{1}};
        co_await client.write_all(one);
        co_await server.read_exact(one);  // the server's end has been waited for: a driver may keep it registered
        co_await client.write_all(one);
        co_return std::pair{std::move(client), std::move(server)};
    });
    int woken = 0;
    while (readable(rt) && woken < 10) {
        rt.poll();
        ++woken;
    }
    EXPECT_LT(woken, 10);
}

TEST_F(LocalIo, ADeadlineEndsAReadInAHostsLoop) {
    local_runtime rt{local_options()};
    auto listener = io::tcp_listener::bind("127.0.0.1:0");
    bool timed_out = false;
    rt.spawn([&]() -> task<> {
        auto client = co_await io::tcp_stream::connect(listener.local());
        auto server = co_await listener.accept();
        std::array<std::byte, 1> one{};
        try {
            co_await timeout(5ms, [](io::tcp_stream& from, std::span<std::byte> into) -> task<> {
                (void)co_await from.read_some(into);
            }(server, one));
        } catch (const deadline_exceeded&) {
            timed_out = true;
        }
    });
    EXPECT_LE(serve_until_done(rt), 30);
    EXPECT_TRUE(timed_out);
}

// A cancel has to be handed to the kernel although the runtime is idle and the canceller is the thread that drives it.
TEST_F(LocalIo, TheHostMayStopAReadBetweenTwoPolls) {
    local_runtime rt{local_options()};
    auto listener = io::tcp_listener::bind("127.0.0.1:0");
    scope* open = nullptr;
    rt.spawn([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            open = &s;
            (void)co_await listener.accept();
        });
    });
    while (rt.poll().more || open == nullptr) {}
    while (readable(rt)) rt.poll();
    open->request_stop();
    serve_until_done(rt);
}

TEST_F(LocalIo, AThreadMayStopARead) {
    for (int round = 0; round < (sanitized ? 20 : 100); ++round) {
        local_runtime rt{local_options()};
        auto listener = io::tcp_listener::bind("127.0.0.1:0");
        scope* open = nullptr;
        rt.spawn([&]() -> task<> {
            co_await with_scope([&](scope& s) -> task<> {
                s.spawn([&]() -> task<> { (void)co_await listener.accept(); });
                open = &s;
                co_await never();
            });
        });
        // All are suspended, so the scope lives until the stop has reached them.
        while (rt.poll().more || open == nullptr) {}
        while (readable(rt)) rt.poll();
        std::thread stopper{[&] { open->request_stop(); }};
        serve_until_done(rt);
        stopper.join();
    }
}

TEST_F(LocalIo, MayBeDestroyedWithOperationsInFlight) {
    for (int round = 0; round < 20; ++round) {
        auto listener = io::tcp_listener::bind("127.0.0.1:0");
        std::atomic<int> live{0};
        {
            local_runtime rt{local_options()};
            rt.spawn([&, held = counted{live}]() -> task<> {
                for (;;) (void)co_await listener.accept();
            });
            rt.spawn([&, held = counted{live}]() -> task<> {
                auto client = co_await io::tcp_stream::connect(listener.local());
                std::array<std::byte, 64> buffer{};
                (void)co_await client.read_some(buffer);
            });
            for (int i = 0; i < round; ++i) rt.poll({.max_polls = 1});
        }
        EXPECT_EQ(live, 0);
    }
}

TEST_F(LocalIo, ReadsInFlightEndWithoutGrace) {
    local_runtime rt{local_options()};
    auto listener = io::tcp_listener::bind("127.0.0.1:0");
    for (int i = 0; i < 10; ++i) rt.spawn([&]() -> task<> { (void)co_await listener.accept(); });
    while (rt.poll().more) {}
    EXPECT_TRUE(rt.shutdown(0ns).clean());
}

// The thread that submitted has gone; the kernel gives up what it submitted, and the driver submits it again.
TEST_F(LocalIo, SocketsOutliveTheThreadThatDroveThem) {
    local_runtime rt{local_options()};
    auto listener = io::tcp_listener::bind("127.0.0.1:0");
    auto where = listener.local();
    bool accepted = false;
    rt.spawn([&]() -> task<> {
        (void)co_await listener.accept();
        accepted = true;
    });
    std::thread{[&] { rt.poll(); }}.join();
    rt.spawn([where]() -> task<> { (void)co_await io::tcp_stream::connect(where); });
    serve_until_done(rt);
    EXPECT_TRUE(accepted);
}

// Qt, libuv and most others: an epoll set that holds the runtime's descriptor.
TEST_F(LocalIo, TheHandleWorksInsideAnEpollSetOfTheHost) {
    local_runtime rt{local_options()};
    int set = ::epoll_create1(EPOLL_CLOEXEC);
    ASSERT_GE(set, 0);
    epoll_event wanted{};
    wanted.events = EPOLLIN;
    ASSERT_EQ(::epoll_ctl(set, EPOLL_CTL_ADD, rt.native_handle(), &wanted), 0);
    auto listener = io::tcp_listener::bind("127.0.0.1:0");
    int done = 0;
    rt.spawn([&]() -> task<> { co_await echo(co_await listener.accept()); });
    rt.spawn_at(std::source_location::current(), converse, listener.local(), 50, std::ref(done));
    int interrupted = 0;
    while (rt.metrics().live_tasks != 0) {
        epoll_event ready{};
        int n = ::epoll_wait(set, &ready, 1, -1);
        if (n == 1) {
            rt.poll();
        } else {
            ASSERT_EQ(errno, EINTR);
            ++interrupted;
        }
    }
    ::close(set);
    EXPECT_EQ(done, 1);
    EXPECT_LE(interrupted, 1000);
}

TEST_F(LocalIo, TwoLocalRuntimesOnTwoThreadsTalkOverTcp) {
    auto listener = io::tcp_listener::bind("127.0.0.1:0");
    auto where = listener.local();
    std::thread server{[&] {
        local_runtime rt{local_options()};
        rt.run_until([&]() -> task<> { co_await echo(co_await listener.accept()); });
    }};
    int done = 0;
    {
        local_runtime rt{local_options()};
        rt.run_until(converse(where, 200, done));
    }
    server.join();
    EXPECT_EQ(done, 1);
}

}  // namespace
}  // namespace belay
