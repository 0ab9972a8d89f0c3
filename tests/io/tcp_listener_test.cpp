#include <belay/io/tcp_listener.hpp>

#include <sys/resource.h>

#include <array>
#include <cerrno>
#include <stdexcept>

#include "socket_kit.hpp"

namespace belay::testing {
namespace {

using io::tcp_listener;
using io::tcp_stream;

std::pair<std::error_code, std::string> bind_error(std::string_view where, io::listen_options options = {}) {
    try {
        static_cast<void>(tcp_listener::bind(where, options));
    } catch (const std::system_error& error) {
        return {error.code(), error.what()};
    }
    return {{}, "no error"};
}

TEST(TcpListener, LetsTheSystemChooseAPort) {
    auto listener = tcp_listener::bind("127.0.0.1:0");
    EXPECT_TRUE(listener.is_open());
    EXPECT_EQ(listener.local().address(), "127.0.0.1");
    EXPECT_NE(listener.local().port(), 0);
}

TEST(TcpListener, AnAddressInUseIsNamedWithTheRemedy) {
    auto first = tcp_listener::bind("127.0.0.1:0");
    const auto [code, text] = bind_error(first.local().to_string());
    EXPECT_EQ(code, std::errc::address_in_use);
    EXPECT_TRUE(contains(text, first.local().to_string())) << text;
    EXPECT_TRUE(contains(text, "ss -ltnp")) << text;
    EXPECT_TRUE(contains(text, "reuse_port")) << text;
}

TEST(TcpListener, AForeignAddressIsNamedWithTheReason) {
    const auto [code, text] = bind_error("192.0.2.1:0");  // TEST-NET-1
    EXPECT_EQ(code, std::errc::address_not_available);
    EXPECT_TRUE(contains(text, "no network interface")) << text;
}

TEST(TcpListener, AUnixPathThatExistsIsNamedWithTheRemedy) {
    const auto path = std::filesystem::temp_directory_path() / ("belay_listener_" + std::to_string(::getpid()));
    { auto first = tcp_listener::bind("unix:" + path.string()); }
    const auto [code, text] = bind_error("unix:" + path.string());
    EXPECT_EQ(code, std::errc::address_in_use);
    EXPECT_TRUE(contains(text, "remove the file")) << text;
    std::filesystem::remove(path);
}

TEST(TcpListener, OptionsThatMakeNoSenseAreRefusedByName) {
    try {
        static_cast<void>(tcp_listener::bind("127.0.0.1:0", {.backlog = 0}));
        ADD_FAILURE();
    } catch (const std::invalid_argument& error) {
        EXPECT_TRUE(contains(error.what(), "listen_options::backlog is 0")) << error.what();
    }
}

TEST(TcpListener, SharesAPortWithOthersThatAgree) {
    auto first = tcp_listener::bind("127.0.0.1:0", {.reuse_port = true});
    EXPECT_NO_THROW(static_cast<void>(tcp_listener::bind(first.local(), {.reuse_port = true})));
    EXPECT_EQ(bind_error(first.local().to_string()).first, std::errc::address_in_use);
}

TEST(TcpListener, AnIpv6ListenerTakesIpv4UnlessToldNotTo) {
    if (bind_error("[::]:0").first) GTEST_SKIP() << "no IPv6 here";
    run([]() -> task<> {
        auto both = tcp_listener::bind("[::]:0");
        auto [server, client] =
            co_await when_all(both.accept(), tcp_stream::connect(io::endpoint::loopback(both.local().port())));
        EXPECT_TRUE(server.is_open());
        auto only = tcp_listener::bind("[::]:0", {.v6_only = true});
        auto [code, text] = co_await error_of(
            [](io::endpoint peer) -> task<> { co_await tcp_stream::connect(peer); }(io::endpoint::loopback(only.local().port())));
        EXPECT_EQ(code, std::errc::connection_refused) << text;
    });
}

TEST(TcpListener, AcceptsInTheOrderOfTheCalls) {
    run([]() -> task<> {
        auto listener = tcp_listener::bind("127.0.0.1:0");
        std::vector<tcp_stream> clients;
        for (int i = 0; i < 50; ++i) clients.push_back(co_await tcp_stream::connect(listener.local()));
        for (const auto& client : clients) EXPECT_EQ((co_await listener.accept()).peer(), client.local());
    });
}

TEST(TcpListener, SeveralTasksAcceptFromOne) {
    run([]() -> task<> {
        auto listener = tcp_listener::bind("127.0.0.1:0");
        auto accept_some = [](tcp_listener& from) -> task<int> {
            for (int i = 0; i < 25; ++i) co_await from.accept();
            co_return 25;
        };
        auto connect_all = [](io::endpoint where) -> task<> {
            for (int i = 0; i < 75; ++i) co_await tcp_stream::connect(where);
        };
        auto [a, b, c, done] =
            co_await when_all(accept_some(listener), accept_some(listener), accept_some(listener), connect_all(listener.local()));
        EXPECT_EQ(a + b + c, 75);
    });
}

TEST(TcpListener, AcceptOnNothingIsAnError) {
    run([]() -> task<> {
        tcp_listener none;
        auto [code, text] = co_await error_of([](tcp_listener& from) -> task<> { co_await from.accept(); }(none));
        EXPECT_EQ(code, std::errc::bad_file_descriptor);
        EXPECT_TRUE(contains(text, "tcp_listener: accept")) << text;
    });
}

TEST(TcpListener, CanBeMovedWhileNobodyAccepts) {
    run([]() -> task<> {
        auto first = tcp_listener::bind("127.0.0.1:0");
        const auto where = first.local();
        tcp_listener second;
        second = std::move(first);
        EXPECT_FALSE(first.is_open());
        auto [server, client] = co_await when_all(second.accept(), tcp_stream::connect(where));
        EXPECT_EQ(server.local(), where);
    });
}

// ---- descriptor exhaustion -------------------------------------------------------------------------------------

#if defined(__has_feature)
#if __has_feature(undefined_behavior_sanitizer)
#define BELAY_TEST_UBSAN
#endif
#endif
#ifdef BELAY_TEST_UBSAN
constexpr bool ubsan = true;
#else
constexpr bool ubsan = false;
#endif
constexpr const char* ubsan_needs_descriptors =
    "UBSan opens a pipe for its check of virtual tables, and calls them invalid when it cannot";

/// As long as it lives, the process can open no further descriptor.
class no_descriptors_left {
public:
    no_descriptors_left() {
        ::getrlimit(RLIMIT_NOFILE, &before_);
        const int lowest_free = ::dup(0);
        ::close(lowest_free);
        rlimit none = before_;
        none.rlim_cur = static_cast<rlim_t>(lowest_free);
        ::setrlimit(RLIMIT_NOFILE, &none);
    }
    ~no_descriptors_left() { ::setrlimit(RLIMIT_NOFILE, &before_); }
    no_descriptors_left(const no_descriptors_left&) = delete;
    no_descriptors_left& operator=(const no_descriptors_left&) = delete;

private:
    rlimit before_{};
};

task<std::pair<std::error_code, std::string>> accept_error(tcp_listener& from) {
    co_return co_await error_of([](tcp_listener& listener) -> task<> { co_await listener.accept(); }(from));
}

TEST(TcpListener, WithoutDescriptorsEachConnectionIsClosedAndReportedOnce) {
    if (ubsan) GTEST_SKIP() << ubsan_needs_descriptors;
    run([]() -> task<> {
        auto listener = tcp_listener::bind("127.0.0.1:0");
        std::vector<tcp_stream> clients;
        for (int i = 0; i < 3; ++i) clients.push_back(co_await tcp_stream::connect(listener.local()));
        {
            const no_descriptors_left exhausted;
            for (const auto& client : clients) {
                auto [code, text] = co_await accept_error(listener);
                EXPECT_EQ(code, std::errc::too_many_files_open);
                EXPECT_TRUE(contains(text, "a connection was closed")) << text;
                EXPECT_TRUE(contains(text, "RLIMIT_NOFILE is ")) << text;
                EXPECT_TRUE(contains(text, "ulimit -n")) << text;
                EXPECT_TRUE(client.is_open());
            }
            // No connection is left, so the next accept waits instead of failing again.
            auto won = co_await when_any(accept_error(listener), yield_times(200));
            EXPECT_EQ(won.index, 1U);
        }
        for (auto& client : clients) {
            std::array<std::byte, 1> buffer;
            EXPECT_EQ(co_await client.read_some(buffer), 0U) << "it was told at once";
        }
        auto [server, client] = co_await when_all(listener.accept(), tcp_stream::connect(listener.local()));
        EXPECT_TRUE(server.is_open());
    });
}

TEST(TcpListener, AnAcceptThatBeganWithoutDescriptorsSucceedsWhenThereAreSomeAgain) {
    if (ubsan) GTEST_SKIP() << ubsan_needs_descriptors;
    run([]() -> task<> {
        auto listener = tcp_listener::bind("127.0.0.1:0");
        auto connect_later = [](io::endpoint where) -> task<tcp_stream> {
            {
                const no_descriptors_left exhausted;
                co_await yield_times(100);
            }
            co_return co_await tcp_stream::connect(where);
        };
        // The connecting branch first, so that the accept begins without descriptors.
        auto [client, server] = co_await when_all(connect_later(listener.local()), listener.accept());
        EXPECT_EQ(server.peer(), client.local());
    });
}

TEST(TcpListener, WithoutItsReserveTheConnectionWaitsAndTheCallerIsTold) {
    if (ubsan) GTEST_SKIP() << ubsan_needs_descriptors;
    run([]() -> task<> {
        tcp_listener listener;
        tcp_stream client;
        {
            const int last = ::dup(0);  // the one descriptor that the listener will get; none is left for its reserve
            const no_descriptors_left exhausted;
            ::close(last);
            listener = tcp_listener::bind("127.0.0.1:0");
        }
        client = co_await tcp_stream::connect(listener.local());
        {
            const no_descriptors_left exhausted;
            auto [code, text] = co_await accept_error(listener);
            EXPECT_EQ(code, std::errc::too_many_files_open);
            EXPECT_TRUE(contains(text, "a connection has to wait")) << text;
        }
        EXPECT_EQ((co_await listener.accept()).peer(), client.local());
    });
}

}  // namespace
}  // namespace belay::testing
