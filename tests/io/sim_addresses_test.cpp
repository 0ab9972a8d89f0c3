// Who is bound to what in a simulation, and whom a connection finds, is as in Linux: the same programs run over both.
#include <belay/io/endpoint.hpp>
#include <belay/io/file.hpp>
#include <belay/io/sim_files.hpp>
#include <belay/io/sim_network.hpp>
#include <belay/io/tcp_listener.hpp>
#include <belay/io/tcp_stream.hpp>
#include <belay/io/udp_socket.hpp>
#include <belay/runtime/as_task.hpp>
#include <belay/runtime/simulation.hpp>
#include <belay/runtime/when_all.hpp>
#include <belay/tests/kit/everywhere.hpp>
#include <belay/tests/kit/gtest.hpp>

#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "sim_kit.hpp"

namespace belay::io {
namespace {

/// The listener's port at another address.
endpoint at(std::string_view host, const tcp_listener& listener) {
    return endpoint::parse(std::string{host} + ':' + std::to_string(listener.local().port()));
}

int bind_error(const endpoint& where, listen_options options = {}) {
    try {
        auto listener = tcp_listener::bind(where, options);
        return 0;
    } catch (const std::system_error& error) {
        return error.code().value();
    }
}

task<std::pair<tcp_stream, tcp_stream>> connected(endpoint to, tcp_listener& listener) {
    auto [client, server] = co_await when_all(tcp_stream::connect(to), listener.accept());
    co_return std::pair{std::move(client), std::move(server)};
}

// ---- addresses -------------------------------------------------------------------------------------------------

task<> families() {
    {
        auto any_v4 = tcp_listener::bind("0.0.0.0:0");
        EXPECT_EQ(co_await error_of(tcp_stream::connect(at("[::1]", any_v4))), ECONNREFUSED);
        auto [client, server] = co_await connected(at("127.0.0.1", any_v4), any_v4);
        EXPECT_EQ(server.peer().address(), "127.0.0.1");
    }
    {
        auto only_v6 = tcp_listener::bind("[::]:0", {.v6_only = true});
        EXPECT_EQ(co_await error_of(tcp_stream::connect(at("127.0.0.1", only_v6))), ECONNREFUSED);
        auto beside = tcp_listener::bind(at("0.0.0.0", only_v6));
        auto [client, server] = co_await connected(at("127.0.0.1", only_v6), beside);
        auto [client6, server6] = co_await connected(at("[::1]", only_v6), only_v6);
    }
    {
        auto both = tcp_listener::bind("[::]:0");
        EXPECT_EQ(bind_error(at("0.0.0.0", both)), EADDRINUSE);
        EXPECT_EQ(bind_error(at("127.0.0.1", both)), EADDRINUSE);
        auto [client, server] = co_await connected(at("127.0.0.1", both), both);
        EXPECT_EQ(server.peer().address(), "::ffff:127.0.0.1");
        EXPECT_EQ(server.local(), at("[::ffff:127.0.0.1]", both));
        EXPECT_EQ(client.peer(), at("127.0.0.1", both));
        auto [mapped, server2] = co_await connected(at("[::ffff:127.0.0.1]", both), both);
        EXPECT_EQ(mapped.peer(), at("[::ffff:127.0.0.1]", both));
    }
    auto exact = tcp_listener::bind("127.0.0.1:0");
    EXPECT_EQ(bind_error(at("[::]", exact)), EADDRINUSE);
    auto [to_any, server] = co_await connected(at("0.0.0.0", exact), exact);
    EXPECT_EQ(to_any.peer(), exact.local());
    auto [to_mapped, server2] = co_await connected(at("[::ffff:127.0.0.1]", exact), exact);
    EXPECT_EQ(server2.peer().address(), "127.0.0.1");
}
TEST(SimAddresses, FamiliesInReality) {
    if (bind_error(endpoint::parse("[::1]:0")) != 0) GTEST_SKIP() << "no IPv6 here";
    kit::run_test([] { return families(); });
}
BELAY_TEST_SIM(SimAddresses, Families, .seeds = 5) { co_await families(); }

task<> shared_ports() {
    listen_options shared{.reuse_port = true};
    auto any = tcp_listener::bind("0.0.0.0:0", shared);
    auto exact = tcp_listener::bind(at("127.0.0.1", any), shared);
    for (int i = 0; i < 10; ++i) auto [client, server] = co_await connected(exact.local(), exact);
}
BELAY_TEST(SimAddresses, TheExactOneOfThoseThatShareAPortInReality) { co_await shared_ports(); }
BELAY_TEST_SIM(SimAddresses, TheExactOneOfThoseThatShareAPort, .seeds = 10) { co_await shared_ports(); }

BELAY_TEST_SIM(SimAddresses, AMachineThatCrashesHasItsMappedConnectionsToo, .seeds = 5) {
    auto& net = sim_network::of(sim);
    auto listener = tcp_listener::bind("[::]:80");
    net.connect_from("10.0.0.2");
    auto [client, server] = co_await connected(endpoint::parse("10.0.0.1:80"), listener);
    EXPECT_EQ(server.peer().address(), "::ffff:10.0.0.2");
    std::array<std::byte, 4> buffer;
    net.crash(server.local().address());
    EXPECT_EQ(co_await error_of(as_task(server.read_some(buffer))), ENETDOWN);
}

task<> datagrams() {
    auto socket = udp_socket::bind("127.0.0.1:0");
    auto other = udp_socket::bind("127.0.0.1:0");
    EXPECT_EQ(co_await error_of(as_task(socket.send_to("x", endpoint::parse("127.0.0.1:0")))), EINVAL);
    co_await socket.send_to("to myself", endpoint::parse("0.0.0.0:" + std::to_string(other.local().port())));
    std::array<std::byte, 16> buffer;
    EXPECT_EQ((co_await other.receive(buffer)).from, socket.local());
    auto any = udp_socket::bind("0.0.0.0:0");
    EXPECT_EQ(co_await error_of(as_task(any.send_to("x", endpoint::parse("255.255.255.255:9")))), EACCES);
    EXPECT_EQ(co_await error_of([](udp_socket& from) -> task<> {
                  from.connect(endpoint::parse("255.255.255.255:9"));
                  co_return;
              }(any)),
              EACCES);
}
BELAY_TEST(SimAddresses, DatagramsInReality) { co_await datagrams(); }
BELAY_TEST_SIM(SimAddresses, Datagrams, .seeds = 5) { co_await datagrams(); }

BELAY_TEST_SIM(SimAddresses, WhoMayBroadcastDoes, .seeds = 5) {
    auto from = udp_socket::bind("0.0.0.0:0", {.broadcast = true});
    auto to = udp_socket::bind("0.0.0.0:9");
    co_await from.send_to("all", endpoint::parse("255.255.255.255:9"));
    std::array<std::byte, 4> buffer;
    EXPECT_EQ((co_await to.receive(buffer)).size, 3U);
}

// ---- paths of Unix sockets -------------------------------------------------------------------------------------

task<> paths(std::string directory) {
    const std::string path = directory + "/socket";
    const endpoint where = endpoint::unix_path(path);
    EXPECT_EQ(co_await error_of(tcp_stream::connect(where)), ENOENT);
    {
        auto listener = tcp_listener::bind(where);
        auto [client, server] = co_await connected(where, listener);
        EXPECT_EQ(client.peer(), where);
        EXPECT_EQ(server.local(), where);
        EXPECT_EQ(server.peer().to_string(), "unix:");
        EXPECT_EQ(bind_error(where), EADDRINUSE);
    }
    EXPECT_EQ(co_await error_of(tcp_stream::connect(where)), ECONNREFUSED) << "the path is there, and nobody listens";
    EXPECT_EQ(bind_error(where), EADDRINUSE) << "nobody has removed it";
    EXPECT_NE(co_await error_of(file::open(path)), 0) << "it is no file";
    EXPECT_EQ(co_await error_of(file::open(path, {.write = true, .create = true, .exclusive = true})), EEXIST);
    co_await remove_file(path);
    EXPECT_EQ(co_await error_of(remove_file(path)), ENOENT);
    EXPECT_EQ(co_await error_of(tcp_stream::connect(where)), ENOENT);

    auto removed = tcp_listener::bind(where);
    co_await remove_file(path);
    EXPECT_EQ(co_await error_of(tcp_stream::connect(where)), ENOENT) << "it listens, and nobody finds it";
    auto next = tcp_listener::bind(where);
    auto [client, server] = co_await connected(where, next);
    removed.close();
    auto [client2, server2] = co_await connected(where, next);

    auto f = co_await file::open(directory + "/file", {.write = true, .create = true});
    EXPECT_EQ(bind_error(endpoint::unix_path(directory + "/file")), EADDRINUSE);
    EXPECT_EQ(co_await error_of(tcp_stream::connect(endpoint::unix_path(directory + "/file"))), ECONNREFUSED);
    co_await rename_file(directory + "/file", path);  // in its place
    EXPECT_EQ(co_await error_of(tcp_stream::connect(where)), ECONNREFUSED);
    co_await f.close();
}
BELAY_TEST(SimAddresses, PathsInReality) {
    const std::string directory = std::filesystem::temp_directory_path() / ("belay_sim_paths_" + std::to_string(::getpid()));
    std::filesystem::create_directory(directory);
    co_await paths(directory);
    std::filesystem::remove_all(directory);
}
BELAY_TEST_SIM(SimAddresses, Paths, .seeds = 10) { co_await paths("/tmp"); }

task<> abstract_names(std::string name) {
    const endpoint where = endpoint::unix_path("@" + name);
    EXPECT_EQ(co_await error_of(tcp_stream::connect(where)), ECONNREFUSED);
    {
        auto listener = tcp_listener::bind(where);
        EXPECT_EQ(bind_error(where), EADDRINUSE);
        auto [client, server] = co_await connected(where, listener);
    }
    auto again = tcp_listener::bind(where);
}
BELAY_TEST(SimAddresses, AbstractNamesInReality) { co_await abstract_names("belay_sim_" + std::to_string(::getpid())); }
BELAY_TEST_SIM(SimAddresses, AbstractNames, .seeds = 5) { co_await abstract_names("belay"); }

}  // namespace
}  // namespace belay::io
