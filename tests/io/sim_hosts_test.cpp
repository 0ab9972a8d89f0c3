// Datagrams and pipes of a simulation, and machines that crash in it.
#include <belay/io/error.hpp>
#include <belay/io/file.hpp>
#include <belay/io/pipe.hpp>
#include <belay/io/sim_files.hpp>
#include <belay/io/sim_network.hpp>
#include <belay/io/tcp_listener.hpp>
#include <belay/io/tcp_stream.hpp>
#include <belay/io/udp_socket.hpp>
#include <belay/runtime/as_task.hpp>
#include <belay/runtime/retry.hpp>
#include <belay/runtime/scope.hpp>
#include <belay/runtime/simulation.hpp>
#include <belay/runtime/sleep.hpp>
#include <belay/runtime/timeout.hpp>
#include <belay/runtime/when_all.hpp>
#include <belay/tests/kit/everywhere.hpp>
#include <belay/tests/kit/gtest.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <map>
#include <set>
#include <span>
#include <string>
#include <system_error>
#include <vector>

#include "sim_kit.hpp"

namespace belay::io {
namespace {

using namespace std::chrono_literals;

std::string text_of(std::span<const std::byte> bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

task<std::string> receive_text(udp_socket& from) {
    std::array<std::byte, 100> buffer;
    auto got = co_await from.receive(buffer);
    co_return text_of(std::span(buffer).first(got.size));
}

// ---- datagrams -------------------------------------------------------------------------------------------------

BELAY_TEST_SIM(SimDatagrams, DoWhatDatagramsDo, .seeds = 20) {
    auto server = udp_socket::bind("10.0.0.1:53");
    auto client = udp_socket::bind("0.0.0.0:0");
    EXPECT_EQ(co_await error_of(as_task(client.send("to whom?"))), EDESTADDRREQ);
    co_await client.send_to("question", server.local());
    std::array<std::byte, 4> four;
    auto question = co_await server.receive(four);
    EXPECT_EQ(question.size, 4U);
    EXPECT_TRUE(question.truncated);
    EXPECT_EQ(question.from.address(), "127.0.0.1");
    EXPECT_EQ(question.from.port(), client.local().port());
    co_await server.send_to("answer", question.from);
    EXPECT_EQ(co_await receive_text(client), "answer");
    co_await client.send_to("", server.local());
    EXPECT_EQ((co_await server.receive(four)).size, 0U);
    std::vector<std::byte> too_large(udp_socket::max_size + 1);
    EXPECT_EQ(co_await error_of(as_task(client.send_to(too_large, server.local()))), EMSGSIZE);
    auto same = [] { return udp_socket::bind("10.0.0.1:53"); };
    EXPECT_THROW(static_cast<void>(same()), std::system_error);
    auto six = udp_socket::bind("[::1]:53");
    EXPECT_EQ(co_await error_of(as_task(six.send_to("x", server.local()))), ENETUNREACH);
}

BELAY_TEST_SIM(SimDatagrams, AConnectedSocketHearsItsPeerAloneAndOfNobody, .seeds = 20) {
    auto server = udp_socket::bind("10.0.0.1:53");
    auto client = udp_socket::bind("10.0.0.2:1000");
    auto stranger = udp_socket::bind("10.0.0.3:1000");
    client.connect(server.local());
    co_await stranger.send_to("not for you", client.local());
    co_await client.send("hello");
    EXPECT_EQ(co_await receive_text(server), "hello");
    co_await server.send_to("welcome", client.local());
    EXPECT_EQ(co_await receive_text(client), "welcome");
    server.close();
    co_await client.send("still there?");
    EXPECT_EQ(co_await error_of(receive_text(client)), ECONNREFUSED);
}

BELAY_TEST_SIM(SimDatagrams, GoToTheSocketThatIsConnectedToTheSender, .seeds = 20) {
    auto listening = udp_socket::bind("10.0.0.1:53", {.reuse_port = true});
    auto of_client = udp_socket::bind("10.0.0.1:53", {.reuse_port = true});
    auto everywhere = udp_socket::bind("0.0.0.0:53", {.reuse_port = true});
    auto client = udp_socket::bind("10.0.0.2:1000");
    auto stranger = udp_socket::bind("10.0.0.3:1000");
    of_client.connect(client.local());
    for (int i = 0; i < 3; ++i) {
        co_await client.send_to("mine", listening.local());
        co_await stranger.send_to("theirs", listening.local());
        EXPECT_EQ(co_await receive_text(of_client), "mine");
        EXPECT_EQ(co_await receive_text(listening), "theirs");
    }
    co_await client.send_to("any", endpoint::parse("10.0.0.9:53"));
    EXPECT_EQ(co_await receive_text(everywhere), "any");
    // A socket hears only of the port that it is connected to; and a reset is not for datagrams.
    client.connect(listening.local());
    co_await client.send_to("x", endpoint::parse("10.0.0.1:54"));
    sim_network::of(sim).reset_connections("10.0.0.2");
    co_await sleep_for(1s);
    co_await client.send("y");
}

TEST(SimDatagrams, AreLostDoubledAndOvertaken) {
    std::set<std::string> seen;
    for (std::uint64_t seed = 1; seed <= 60; ++seed) {
        simulation sim{{.seed = seed}};
        auto& net = sim_network::of(sim);
        net.set_faults({.lost = 4, .duplicated = 4});
        net.set_link({.latency = 1ms, .jitter = 5ms});
        sim.block_on([&]() -> task<> {
            auto server = udp_socket::bind("10.0.0.1:53");
            auto client = udp_socket::bind("10.0.0.2:1000");
            for (const char* text : {"a", "b", "c"}) co_await client.send_to(text, server.local());
            std::string all;
            while (auto got = co_await try_timeout(1s, receive_text(server))) all += *got;
            std::map<char, int> counts;
            for (char c : all) ++counts[c];
            if (counts.size() < 3) seen.insert("lost");
            if (all.size() > counts.size()) seen.insert("doubled");
            if (!std::ranges::is_sorted(all)) seen.insert("overtaken");
            if (all == "abc") seen.insert("as sent");
            EXPECT_LE(all.size(), 6U);
        });
    }
    EXPECT_EQ(seen, (std::set<std::string>{"lost", "doubled", "overtaken", "as sent"}));
}

BELAY_TEST_SIM(SimDatagrams, DoNotPassAPartitionNorFitIntoAFullBuffer, .seeds = 10) {
    auto& net = sim_network::of(sim);
    auto server = udp_socket::bind("10.0.0.1:53");
    auto client = udp_socket::bind("10.0.0.2:1000");
    net.partition("10.0.0.1", "10.0.0.2");
    co_await client.send_to("lost", server.local());
    EXPECT_FALSE(co_await try_timeout(1s, receive_text(server)));
    net.heal("10.0.0.1", "10.0.0.2");
    EXPECT_FALSE(co_await try_timeout(1s, receive_text(server))) << "what was lost does not come later";
    net.set_buffer(10);
    co_await client.send_to("12345678", server.local());
    co_await client.send_to("1234", server.local());
    co_await client.send_to("12", server.local());
    co_await sleep_for(1s);
    auto one = co_await receive_text(server);
    auto other = co_await receive_text(server);
    EXPECT_LE(one.size() + other.size(), 10U) << one << ' ' << other;
    EXPECT_FALSE(co_await try_timeout(1s, receive_text(server))) << "one of the three found no room";
}

/// The idiom for what may be lost: ask again until there is an answer.
task<std::string> ask(udp_socket& client, endpoint server, std::string question) {
    co_return co_await retry({.attempts = 50, .first_delay = 1ms, .max_delay = 10ms, .seed = 1}, [&]() -> task<std::string> {
        co_await client.send_to(question, server);
        co_return co_await timeout(20ms, receive_text(client));
    });
}

BELAY_TEST_EVERYWHERE(SimDatagrams, AskingAgainGetsAnAnswerAndMayBeStoppedAnywhere, .seeds = 50) {
    auto& net = sim_network::of(sim);
    net.set_faults({.lost = 3, .duplicated = 5});
    net.set_link({.latency = 1ms, .jitter = 1ms});
    auto server = udp_socket::bind("10.0.0.1:53");
    auto client = udp_socket::bind("10.0.0.2:1000");
    co_await with_scope([&](scope& s) -> task<> {
        s.spawn([&]() -> task<> {
            for (std::array<std::byte, 64> buffer;;) {
                auto got = co_await server.receive(buffer);
                co_await server.send_to(std::span(buffer).first(got.size), got.from);
            }
        });
        EXPECT_EQ(co_await ask(client, server.local(), "ping"), "ping");
        s.request_stop();
    });
}

// ---- pipes -----------------------------------------------------------------------------------------------------

BELAY_TEST_EVERYWHERE(SimPipes, BytesComeInOrderAndThenTheEnd, .seeds = 50) {
    sim_network::of(sim).set_buffer(100);
    auto [out, in] = make_pipe();
    auto write = [](pipe_writer to) -> task<> {
        co_await to.write_all("hello ");
        co_await to.write_all(std::string(150, 'x'));
        to.close();
    };
    auto read = [](pipe_reader from) -> task<std::string> {
        std::string all;
        std::array<std::byte, 64> buffer;
        while (std::size_t n = co_await from.read_some(buffer)) all += text_of(std::span(buffer).first(n));
        co_return all;
    };
    auto [done, got] = co_await when_all(write(std::move(in)), read(std::move(out)));
    EXPECT_EQ(got, "hello " + std::string(150, 'x'));
}

BELAY_TEST_SIM(SimPipes, KnowNothingOfTheNetwork, .seeds = 10) {
    auto& net = sim_network::of(sim);
    net.set_faults({.reset = 1});
    net.set_link({.latency = 1h, .bytes_per_second = 1});
    auto [out, in] = make_pipe();
    std::array<std::byte, 5> buffer;
    auto began = sim.elapsed();
    co_await in.write_all("hello");
    co_await out.read_exact(buffer);
    EXPECT_LT(sim.elapsed() - began, 1ms);
}

BELAY_TEST_SIM(SimPipes, AWriterWithoutReadersGetsEpipe, .seeds = 10) {
    auto [out, in] = make_pipe();
    co_await in.write_all("unread");
    out.close();
    co_await sleep_for(1ms);
    EXPECT_EQ(co_await error_of(in.write_all("x")), EPIPE);
    auto [out2, in2] = make_pipe();
    std::array<std::byte, 4> buffer;
    pipe_reader wrong{in2.release()};
    EXPECT_EQ(co_await error_of(wrong.read_some(buffer)), EBADF) << "the end for writing";
}

BELAY_TEST_SIM(SimPipes, SmallWritesAreWhole, .seeds = 50) {
    sim_network::of(sim).set_faults({.short_transfer = 2});
    sim_network::of(sim).set_buffer(5'000);
    auto [out, in] = make_pipe();
    std::vector<std::byte> record(4'096);  // PIPE_BUF
    EXPECT_EQ(co_await in.write_some(std::span(record).first(16)), 16U);
    EXPECT_EQ(co_await in.write_some(record), 4'096U);
    std::size_t written = 0;
    auto write = [&]() -> task<> { written = co_await in.write_some(std::span(record).first(1'000)); };
    auto read = [&]() -> task<> {
        co_await sleep_for(1ms);
        EXPECT_EQ(written, 0U) << "there is room for a part of it alone";
        co_await out.read_exact(std::span(record).first(112));
    };
    co_await when_all(write(), read());
    EXPECT_EQ(written, 1'000U);
}

// ---- machines --------------------------------------------------------------------------------------------------

/// Keeps a counter on its disk, and says each value that it has kept.
task<> counter_service(std::string directory) {
    auto listener = tcp_listener::bind("10.0.0.1:80");
    int value = 0;
    if (auto old = co_await file::open(directory + "/counter", {.write = true, .create = true}); co_await old.size() != 0)
        value = std::stoi(co_await read_file(directory + "/counter"));
    for (;;) {
        auto peer = co_await listener.accept();
        ++value;
        co_await replace_file(directory + "/counter", std::to_string(value));
        co_await peer.write_all(std::to_string(value) + "\n");
    }
}

task<int> next_number() {
    auto server = co_await tcp_stream::connect(endpoint::parse("10.0.0.1:80"));
    std::string line;
    std::array<std::byte, 16> buffer;
    while (std::size_t n = co_await server.read_some(buffer)) {
        line += text_of(std::span(buffer).first(n));
        if (line.ends_with('\n')) co_return std::stoi(line);
    }
    throw std::runtime_error("closed without an answer");
}

BELAY_TEST_SIM(SimHosts, WhatWasAnsweredSurvivesACrash, .seeds = 100) {
    auto& net = sim_network::of(sim);
    net.set_link({.latency = 1ms, .jitter = 1ms});
    sim_files::of(sim).add_disk("/server", {.latency = 100us, .jitter = 1ms, .host = "10.0.0.1"});
    int last = 0;
    int answers = 0;
    co_await with_scope([&](scope& world) -> task<> {
        world.spawn([&]() -> task<> {
            while (answers < 20) {
                try {
                    int got = co_await timeout(1s, next_number());
                    EXPECT_GT(got, last) << "the server has forgotten what it had answered";
                    last = got;
                    ++answers;
                } catch (const std::exception&) {  // it crashed: ask again
                }
                co_await sleep_for(5ms);
            }
        });
        for (int life = 0; life < 5; ++life) {
            co_await with_scope([&](scope& machine) -> task<> {
                machine.spawn([]() -> task<> {
                    try {
                        co_await counter_service("/server");
                    } catch (const std::system_error&) {  // its machine is gone
                    }
                });
                co_await sleep_for(std::chrono::milliseconds{life < 4 ? 5 + sim.draw(60) : 100'000});
                net.crash("10.0.0.1");
                machine.request_stop();
            });
            co_await sleep_for(20ms);
            net.restart("10.0.0.1");
        }
    });
    EXPECT_EQ(answers, 20);
}

BELAY_TEST_SIM(SimHosts, ACrashedHostDoesNotAnswer, .seeds = 10) {
    auto& net = sim_network::of(sim);
    net.connect_from("10.0.0.2");
    auto listener = tcp_listener::bind("10.0.0.1:80");
    auto [client, server] = co_await when_all(tcp_stream::connect(listener.local()), listener.accept());
    net.crash("10.0.0.1");
    std::array<std::byte, 4> buffer;
    EXPECT_EQ(co_await error_of(as_task(server.read_some(buffer))), ENETDOWN);
    EXPECT_EQ(co_await error_of(as_task(server.write_all("x"))), ENETDOWN);
    EXPECT_NE(co_await error_of(listener.accept()), 0);
    auto bind = [] { return tcp_listener::bind("10.0.0.1:81"); };
    EXPECT_THROW(static_cast<void>(bind()), std::system_error);
    EXPECT_FALSE(co_await try_timeout(1h, client.read_some(buffer))) << "nobody tells who only waits";
    auto began = sim.elapsed();
    EXPECT_EQ(co_await error_of(tcp_stream::connect(endpoint::parse("10.0.0.1:80"))), ETIMEDOUT);
    EXPECT_GT(sim.elapsed() - began, 60s);
    co_await client.write_all("anybody?");
    EXPECT_EQ(co_await error_of(as_task(client.read_some(buffer))), ETIMEDOUT);
}

BELAY_TEST_SIM(SimHosts, ACrashedHostSaysNothing, .seeds = 10) {
    auto& net = sim_network::of(sim);
    net.connect_from("10.0.0.2");
    net.set_link({.latency = 10ms});
    auto server = udp_socket::bind("10.0.0.1:53");
    auto listener = tcp_listener::bind("10.0.0.1:80");
    auto unbound = udp_socket::bind("0.0.0.0:0");
    co_await with_scope([&](scope& s) -> task<> {
        s.spawn([&]() -> task<> { EXPECT_EQ(co_await error_of(tcp_stream::connect(listener.local())), ENETDOWN); });
        co_await sleep_for(1ms);
        net.crash("10.0.0.2");  // while that connects
    });
    EXPECT_EQ(co_await error_of(as_task(unbound.send_to("x", server.local()))), ENETDOWN);
    EXPECT_EQ(co_await error_of(tcp_stream::connect(listener.local())), ENETDOWN);
    EXPECT_FALSE(co_await try_timeout(1h, listener.accept())) << "nobody has called";
    net.restart("10.0.0.2");
    auto [client, accepted] = co_await when_all(tcp_stream::connect(listener.local()), listener.accept());
}

BELAY_TEST_SIM(SimHosts, WhatWaitedForACrashedHostHearsOfItsRestart, .seeds = 20) {
    auto& net = sim_network::of(sim);
    net.connect_from("10.0.0.2");
    net.set_link({.latency = 10ms});
    net.set_buffer(10);
    auto listener = tcp_listener::bind("10.0.0.1:80");
    auto [writes, server] = co_await when_all(tcp_stream::connect(listener.local()), listener.accept());
    auto [asks, server2] = co_await when_all(tcp_stream::connect(listener.local()), listener.accept());
    co_await with_scope([&](scope& s) -> task<> {
        s.spawn([&]() -> task<> { EXPECT_EQ(co_await error_of(as_task(writes.write_all(std::string(100, 'x')))), ECONNRESET); });
        s.spawn([&]() -> task<> {
            std::array<std::byte, 4> answer;
            co_await asks.write_all("?");
            EXPECT_EQ(co_await error_of(as_task(asks.read_some(answer))), ECONNRESET) << "its question was on its way";
        });
        co_await sleep_for(5ms);
        net.crash("10.0.0.1");
        co_await sleep_for(5s);
        net.restart("10.0.0.1");
    });
}

BELAY_TEST_SIM(SimHosts, ARestartedHostKnowsNoConnection, .seeds = 10) {
    auto& net = sim_network::of(sim);
    net.connect_from("10.0.0.2");
    net.set_link({.latency = 1ms});
    auto listener = tcp_listener::bind("10.0.0.1:80");
    auto [client, server] = co_await when_all(tcp_stream::connect(listener.local()), listener.accept());
    auto [second, server2] = co_await when_all(tcp_stream::connect(listener.local()), listener.accept());
    net.crash("10.0.0.1");
    co_await client.write_all("before");
    server.close();
    server2.close();
    listener.close();
    net.restart("10.0.0.1");
    std::array<std::byte, 4> buffer;
    EXPECT_EQ(co_await error_of(as_task(client.read_some(buffer))), ECONNRESET);
    co_await second.write_all("after");
    EXPECT_EQ(co_await error_of(as_task(second.read_some(buffer))), ECONNRESET);
    EXPECT_EQ(co_await error_of(tcp_stream::connect(endpoint::parse("10.0.0.1:80"))), ECONNREFUSED);
    auto again = tcp_listener::bind("10.0.0.1:80");
    auto [third, server3] = co_await when_all(tcp_stream::connect(again.local()), again.accept());
    co_await third.write_all("hello");
}

}  // namespace
}  // namespace belay::io
