// The kv_server program as its users meet it: over sockets, with signals, at its limits. Nothing here sleeps or measures time;
// every wait is for something that happens.
#include <belay/tests/examples/child_process.hpp>
#include <belay/tests/examples/redis_client.hpp>
#include <belay/tests/observability/http_client.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <initializer_list>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace belay::test {
namespace {

#if defined(__has_feature)
#define BELAY_TEST_HAS_FEATURE(x) __has_feature(x)
#else
#define BELAY_TEST_HAS_FEATURE(x) 0
#endif
#if BELAY_TEST_HAS_FEATURE(address_sanitizer) || BELAY_TEST_HAS_FEATURE(thread_sanitizer) || defined(__SANITIZE_ADDRESS__) || \
    defined(__SANITIZE_THREAD__)
constexpr bool memory_is_telling = false;  // a sanitizer keeps what was freed, and shadows what is used
#else
constexpr bool memory_is_telling = true;
#endif

constexpr std::size_t megabyte = 1024 * 1024;
const std::string ok = "+OK\r\n";
const std::string pong = "+PONG\r\n";

class KvServer : public testing::Test {
protected:
    void start(std::vector<std::string> arguments = {}, child_options options = {}) {
        arguments.insert(arguments.begin(), {"--port", "0"});
        server.emplace("kv_server", std::move(arguments), options);
        port = port_in(server->wait_for_line("listening on "), "listening on 127.0.0.1:");
    }

    static std::uint16_t port_in(const std::string& line, std::string_view before) {
        const std::size_t at = line.find(before);
        if (at == std::string::npos) throw std::runtime_error("no port in '" + line + "'");
        return static_cast<std::uint16_t>(std::atoi(line.c_str() + at + before.size()));
    }

    [[nodiscard]] redis_client connect(client_options options = {}) const { return redis_client{port, options}; }

    // On a connection of its own, again if that is closed before it is answered (for idleness, when the test is held up).
    [[nodiscard]] std::string ask_anew(std::initializer_list<std::string_view> words) const {
        for (;;) {
            try {
                return connect().ask(words);
            } catch (const std::exception&) {
                if (::kill(server->pid(), 0) != 0) throw;
            }
        }
    }

    // A number of INFO. Each question has a connection of its own, which is one of connected_clients.
    [[nodiscard]] std::uint64_t info(std::string_view name) const {
        const std::string text = ask_anew({"INFO"});
        const std::size_t at = text.find("\r\n" + std::string(name) + ":");
        if (at == std::string::npos) throw std::runtime_error("INFO has no " + std::string(name));
        return std::strtoull(text.c_str() + at + name.size() + 3, nullptr, 10);
    }
    // The clients that the test holds, without the one that asks. The one that asked before may not have left yet.
    void wait_for_clients(std::uint64_t count) const {
        while (info("connected_clients") != count + 1) {}
    }

    // Connects until it is served.
    [[nodiscard]] redis_client connect_until_served() const {
        for (;;) {
            auto client = connect();
            if (answers(client)) return client;
        }
    }
    static bool answers(redis_client& client) {
        try {
            return client.ask({"PING"}) == pong;
        } catch (const std::exception&) {
            return false;  // refused, by a close or a reset
        }
    }

    void expect_clean_end(int how = SIGTERM) {
        server->signal(how);
        EXPECT_EQ(server->wait(), 0) << server->output();
    }
    void TearDown() override {
        if (server && server->running()) expect_clean_end();
        if (HasFailure() && server) std::printf("what kv_server printed:\n%s\n", server->output().c_str());
    }

    std::optional<child_process> server;
    std::uint16_t port = 0;
};

// ---- conversations ---------------------------------------------------------------------------------------------

TEST_F(KvServer, AnswersCommands) {
    start();
    auto client = connect();
    EXPECT_EQ(client.ask({"PING"}), pong);
    EXPECT_EQ(client.ask({"SET", "k", "v"}), ok);
    EXPECT_EQ(connect().ask({"GET", "k"}), bulk("v"));
    EXPECT_EQ(client.ask({"NOPE"}), "-ERR unknown command 'NOPE', with args beginning with: \r\n");
    EXPECT_EQ(client.ask({"GET", "k"}), bulk("v")) << "an error must not end the connection";
    EXPECT_EQ(client.ask({"QUIT"}), ok);
    EXPECT_EQ(client.read_to_end(), "");
}

TEST_F(KvServer, AnswersPipelinedCommandsInOrder) {
    start();
    constexpr int count = 5000;
    auto client = connect();
    std::string sent;
    std::string expected;
    for (int i = 1; i <= count; ++i) {
        sent += request({"INCR", "n"});
        expected += ":" + std::to_string(i) + "\r\n";
    }
    client.send(sent);
    EXPECT_EQ(client.read_exact(expected.size()), expected);
}

TEST_F(KvServer, UnderstandsInlineCommands) {
    start();
    auto client = connect();
    client.send("SET k \"two words\"\r\nGET k\n\r\nPING\r\n");
    EXPECT_EQ(client.read_reply(), ok);
    EXPECT_EQ(client.read_reply(), bulk("two words"));
    EXPECT_EQ(client.read_reply(), pong);
}

TEST_F(KvServer, AnswersMalformedInputWithAnErrorAndCloses) {
    start();
    const std::pair<std::string_view, std::string_view> cases[] = {
        {"*1\r\n:3\r\n", "-ERR Protocol error: expected '$', got ':'\r\n"},
        {"*x\r\n", "-ERR Protocol error: invalid multibulk length\r\n"},
        {"*1\r\n$-7\r\n", "-ERR Protocol error: invalid bulk length\r\n"},
        {"PING \"unbalanced\r\n", "-ERR Protocol error: unbalanced quotes in request\r\n"},
    };
    for (const auto& [sent, expected] : cases) {
        auto client = connect();
        client.send(std::string("PING\r\n").append(sent).append("PING\r\n"));
        EXPECT_EQ(client.read_to_end(), std::string(pong).append(expected)) << sent;
    }
}

TEST_F(KvServer, AClientThatVanishesWithinARequestLeavesNothingBehind) {
    start();
    auto bystander = connect();
    EXPECT_EQ(bystander.ask({"PING"}), pong);
    for (int i = 0; i < 20; ++i) {
        auto client = connect();
        client.send("PING\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1000\r\nbeginning of a value");
        EXPECT_EQ(client.read_reply(), pong);  // so it was in the middle of the next one
        i % 2 == 0 ? client.reset() : client.close();
    }
    wait_for_clients(1);
    EXPECT_EQ(bystander.ask({"EXISTS", "k"}), ":0\r\n");
}

TEST_F(KvServer, TakesAValueThatIsStreamedInPieces) {
    start();
    const std::string value(megabyte, 'v');
    const std::string sent = request({"SET", "k", value});
    auto client = connect();
    EXPECT_EQ(client.ask({"PING"}), pong);
    for (std::size_t at = 0, piece = 1; at < sent.size(); piece = piece * 2 + 1) {
        const auto before = info("total_net_input_bytes");
        client.send(std::string_view(sent).substr(at, piece));
        while (info("total_net_input_bytes") < before + std::min(piece, sent.size() - at)) {}
        at += piece;
    }
    EXPECT_EQ(client.read_reply(), ok);
    EXPECT_EQ(client.ask({"GET", "k"}), bulk(value));
}

TEST_F(KvServer, ServesWhoHasClosedItsOwnHalf) {
    start();
    auto client = connect();
    client.send("PING\r\nECHO last\r\n");
    client.half_close();
    EXPECT_EQ(client.read_to_end(), pong + bulk("last"));
}

TEST_F(KvServer, ServesMetrics) {
    server.emplace("kv_server", std::vector<std::string>{"--port", "0", "--metrics", "127.0.0.1:0"});
    const auto metrics_port = port_in(server->wait_for_line("metrics on "), "127.0.0.1:");
    server->wait_for_line("listening on ");
    EXPECT_NE(http_get(metrics_port, "/metrics").find("belay_tasks_live{runtime=\"kv\"}"), std::string::npos);
}

TEST_F(KvServer, SaysThatItsPortIsTaken) {
    start();
    child_process second{"kv_server", {"--port", std::to_string(port)}};
    EXPECT_EQ(second.wait(), 1);
    EXPECT_NE(second.output().find("127.0.0.1:" + std::to_string(port)), std::string::npos) << second.output();
}

// ---- the end ---------------------------------------------------------------------------------------------------

TEST_F(KvServer, EndsWithIdleClientsConnected) {
    start();
    auto client = connect();
    EXPECT_EQ(client.ask({"PING"}), pong);
    expect_clean_end(SIGINT);
    EXPECT_EQ(client.read_to_end(), "");
}

TEST_F(KvServer, AnswersWhatItAcceptedBeforeItEnds) {
    start({"--grace", "250"});
    const std::string value(megabyte, 'v');
    constexpr std::size_t count = 64;  // more than the kernel's buffers hold, so the server is in the middle of it
    auto client = connect({.buffer = 16 * 1024});
    EXPECT_EQ(client.ask({"SET", "k", value}), ok);
    std::string requests;
    for (std::size_t i = 0; i < count; ++i) requests += request({"GET", "k"});
    client.send(requests);  // less than the server reads at a time
    client.wait_readable();
    server->signal(SIGTERM);
    server->wait_for_line("SIGTERM: ending");

    const std::string expected = bulk(value);
    for (std::size_t i = 0; i < count; ++i) ASSERT_EQ(client.read_exact(expected.size()) == expected, true) << i;
    EXPECT_EQ(client.read_to_end(), "");
    EXPECT_EQ(server->wait(), 0);
}

TEST_F(KvServer, TheGraceBoundsAClientThatTakesNoReplies) {
    start({"--grace", "0.2"});
    const std::string value(megabyte, 'v');
    constexpr std::size_t count = 64;
    auto client = connect({.buffer = 16 * 1024});
    EXPECT_EQ(client.ask({"SET", "k", value}), ok);
    std::string requests;
    for (std::size_t i = 0; i < count; ++i) requests += request({"GET", "k"});
    client.send(requests);
    client.wait_readable();
    expect_clean_end();
    EXPECT_NE(server->output().find("1 clients did not take their replies within the grace"), std::string::npos);
    EXPECT_LT(client.read_to_end().size(), count * value.size());
}

// ---- limits ----------------------------------------------------------------------------------------------------

TEST_F(KvServer, ClosesIdleConnections) {
    start({"--idle-timeout", "0.05"});
    auto silent = connect();
    EXPECT_EQ(silent.read_to_end(), "");
    auto halfway = connect();
    halfway.send("*1\r\n$4\r\nPI");
    EXPECT_EQ(halfway.read_to_end(), "");
}

TEST_F(KvServer, AnIdleTimeoutIsAlsoForClientsThatTakeNoReplies) {
    start({"--idle-timeout", "0.5"});
    const std::string value(megabyte, 'v');
    constexpr std::size_t count = 64;
    EXPECT_EQ(ask_anew({"SET", "k", value}), ok);
    auto client = connect({.buffer = 16 * 1024});
    std::string requests;
    for (std::size_t i = 0; i < count; ++i) requests += request({"GET", "k"});
    client.send(requests);
    client.wait_readable();
    wait_for_clients(0);
    EXPECT_LT(client.read_to_end().size(), count * value.size());
}

TEST_F(KvServer, TurnsAwayWhoIsOneTooMany) {
    start({"--max-clients", "2"});
    auto first = connect();
    auto second = connect();
    EXPECT_EQ(first.ask({"PING"}), pong);
    EXPECT_EQ(second.ask({"PING"}), pong);
    for (int i = 0; i < 10; ++i) {
        auto third = connect();
        third.send("PING\r\n");
        EXPECT_EQ(third.read_to_end(), "-ERR max number of clients reached\r\n");
    }
    EXPECT_EQ(first.ask({"PING"}), pong);
    second.close();
    auto third = connect_until_served();
    EXPECT_EQ(third.ask({"PING"}), pong);
    EXPECT_EQ(first.ask({"PING"}), pong);
}

TEST_F(KvServer, OutlivesAShortageOfDescriptors) {
#if BELAY_TEST_HAS_FEATURE(undefined_behavior_sanitizer)
    // clang 19: its check of virtual tables asks through a pipe whether memory can be read, and takes EMFILE for a no.
    GTEST_SKIP() << "UBSan reports every type that it has not seen before as invalid when there are no descriptors";
#endif
    start({"--workers", "2"}, {.descriptors = 64});
    std::vector<redis_client> clients;
    for (;;) {
        auto client = connect();
        if (!answers(client)) break;
        clients.push_back(std::move(client));
        ASSERT_LT(clients.size(), 64U);
    }
    const std::string line = server->wait_for_line("clients are turned away");
    EXPECT_NE(line.find("RLIMIT_NOFILE is 64"), std::string::npos) << line;
    ASSERT_GT(clients.size(), 8U);
    for (auto& client : clients) EXPECT_EQ(client.ask({"PING"}), pong);
    clients.clear();
    auto later = connect_until_served();
    server->wait_for_line("accepting again");
    EXPECT_EQ(later.ask({"SET", "k", "v"}), ok);
}

TEST_F(KvServer, AnAnnouncedLengthAllocatesNothing) {
    start();
    auto refused = connect();
    refused.send("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$536870913\r\n");
    EXPECT_EQ(refused.read_to_end(), "-ERR Protocol error: invalid bulk length\r\n");

    const auto before = server->kilobytes("VmHWM:");
    std::vector<redis_client> clients;
    for (int i = 0; i < 50; ++i) {
        auto& client = clients.emplace_back(connect());
        client.send("PING\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$536870912\r\nv");
        EXPECT_EQ(client.read_reply(), pong);
    }
    if (memory_is_telling) {
        EXPECT_LT(server->kilobytes("VmHWM:"), before + 32 * 1024);  // of 25 GB that were announced
    }
}

TEST_F(KvServer, HoldsLargeValues) {
    start();
    const std::string value(64 * megabyte, 'v');
    auto client = connect();
    EXPECT_EQ(client.ask({"SET", "k", value}), ok);
    EXPECT_EQ(client.ask({"STRLEN", "k"}), ":" + std::to_string(value.size()) + "\r\n");
    EXPECT_TRUE(client.ask({"GET", "k"}) == bulk(value));
}

TEST_F(KvServer, LimitsAreOptions) {
    start({"--proto-max-bulk-len", "1000", "--client-query-buffer-limit", "5000"});
    auto client = connect();
    EXPECT_EQ(client.ask({"SET", "k", std::string(1000, 'v')}), ok);
    EXPECT_EQ(client.ask({"APPEND", "k", "v"}), "-ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n");
    EXPECT_EQ(client.ask({"CONFIG", "GET", "proto-max-bulk-len"}), "*2\r\n" + bulk("proto-max-bulk-len") + bulk("1000"));
    client.send("*2\r\n$3\r\nGET\r\n$1001\r\n");
    EXPECT_EQ(client.read_to_end(), "-ERR Protocol error: invalid bulk length\r\n");

    std::string many = "*100\r\n";
    for (int i = 0; i < 6; ++i) many += bulk(std::string(900, 'a'));
    auto greedy = connect();
    greedy.send(many);
    EXPECT_EQ(greedy.read_to_end(), "-ERR Protocol error: too big query\r\n");
}

// ---- backpressure ----------------------------------------------------------------------------------------------

// What lies between the two ends of a loopback connection: tcp_wmem and tcp_rmem, each way, and the server's buffers.
constexpr std::size_t in_between = 24 * megabyte;

TEST_F(KvServer, RunsNoFurtherAheadThanItsClientReads) {
    start();
    const std::string value(megabyte, 'v');
    constexpr std::size_t count = 200;
    auto client = connect({.buffer = 16 * 1024});
    EXPECT_EQ(client.ask({"SET", "k", value}), ok);
    const auto before = server->kilobytes("VmHWM:");
    const auto commands_before = info("total_commands_processed");
    std::string requests;
    for (std::size_t i = 0; i < count; ++i) requests += request({"GET", "k"});
    client.send(requests);
    client.wait_readable();

    const std::string expected = bulk(value);
    for (std::size_t read = 0; read < count; ++read) {
        const auto asked = read + 1;  // the questions count too
        EXPECT_LE(info("total_commands_processed") - commands_before, read + asked + in_between / megabyte);
        ASSERT_TRUE(client.read_exact(expected.size()) == expected);
    }
    if (memory_is_telling) {
        EXPECT_LT(server->kilobytes("VmHWM:"), before + 64 * 1024);
    }
}

TEST_F(KvServer, StopsReadingFromAClientThatDoesNotRead) {
    start();
    auto client = connect({.buffer = 64 * 1024});
    const std::string payload(64 * 1024, 'v');
    const std::string echo = request({"ECHO", payload});
    std::size_t sent = 0;
    // Until nothing moves any more, for so many questions that the server answered meanwhile on other connections.
    for (int unmoved = 0; unmoved < 100;) {
        const auto taken = client.send_some(std::string_view(echo).substr(sent % echo.size()));
        sent += taken;
        ASSERT_LT(sent, 2 * in_between) << "the server reads on, though nobody takes its replies";
        unmoved = taken == 0 ? unmoved + 1 : 0;
        if (taken == 0) {
            EXPECT_LE(info("total_net_input_bytes"), sent + megabyte);
        }
    }
    const std::string reply = bulk(payload);
    for (std::size_t i = 0; i < sent / echo.size(); ++i) ASSERT_TRUE(client.read_exact(reply.size()) == reply);
}

}  // namespace
}  // namespace belay::test
