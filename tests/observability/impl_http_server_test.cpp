#include <belay/observability/impl/http_server.hpp>

#include <belay/tests/observability/http_client.hpp>

#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

namespace belay::detail {
namespace {

http_response echo(const http_request& request) {
    if (request.path == "/big") return {200, "text/plain", std::string(8U << 20U, 'x')};
    if (request.path == "/throws") throw std::runtime_error("no");
    return {200, "text/plain", std::string{request.path} + "|" + std::string{request.query}};
}

TEST(HttpMessage, ARequestIsReadWhenItsHeadIsComplete) {
    using state = http_request::state;
    EXPECT_EQ(parse_http_request("").is, state::incomplete);
    EXPECT_EQ(parse_http_request("GET / HT").is, state::incomplete);
    EXPECT_EQ(parse_http_request("GET / HTTP/1.1\r\nHost: x\r\n").is, state::incomplete);
    auto request = parse_http_request("GET /debug?seconds=5 HTTP/1.1\r\nHost: x\r\n\r\n");
    ASSERT_EQ(request.is, state::complete);
    EXPECT_EQ(request.method, "GET");
    EXPECT_EQ(request.path, "/debug");
    EXPECT_EQ(request.query, "seconds=5");
}

TEST(HttpMessage, WhatIsNoRequestIsRefused) {
    for (auto text : {"\r\n", "GET\r\n", "GET /\r\n", "GET x HTTP/1.1\r\n", "get / HTTP/1.1\r\n", "GET / HTTP/2.0\r\n",
                      "GET  / HTTP/1.1\r\n", " GET / HTTP/1.1\r\n", "\x16\x03\x01\r\n", "GET /a b HTTP/1.1\r\n"})
        EXPECT_EQ(parse_http_request(text).is, http_request::state::malformed) << text;
}

TEST(HttpMessage, AHeadRequestGetsTheHeadAlone) {
    EXPECT_EQ(render_http_response({200, "text/plain", "abc"}, true),
              "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\nCache-Control: no-store\r\n"
              "X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n");
}

TEST(HttpServer, AnswersWhatItIsAsked) {
    http_server server{"127.0.0.1:0", echo};
    EXPECT_NE(server.port(), 0);
    EXPECT_EQ(server.address(), "127.0.0.1:" + std::to_string(server.port()));
    auto answer = test::http_get(server.port(), "/a?b=c");
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 OK\r\n")) << answer;
    EXPECT_TRUE(answer.ends_with("\r\n\r\n/a|b=c")) << answer;
}

TEST(HttpServer, ARequestMayComeInPieces) {
    http_server server{"127.0.0.1:0", echo};
    test::http_client client{server.port()};
    client.send("GET /pie");
    (void)test::http_get(server.port(), "/");  // the server has seen the first piece by now, or will see both: either is fine
    client.send("ces HTTP/1.1\r\n\r");
    client.send("\n");
    EXPECT_TRUE(client.receive().ends_with("/pieces|"));
}

TEST(HttpServer, AnAnswerLargerThanTheSocketBufferArrivesWhole) {
    http_server server{"127.0.0.1:0", echo};
    auto answer = test::http_get(server.port(), "/big");
    EXPECT_EQ(answer.size() - answer.find("\r\n\r\n") - 4, 8U << 20U);
}

TEST(HttpServer, WhatItDoesNotServeItRefusesPolitely) {
    http_server server{"127.0.0.1:0", echo};
    auto answer_to = [&](std::string_view bytes) {
        test::http_client client{server.port()};
        client.send(bytes);
        return client.receive().substr(0, 12);
    };
    EXPECT_EQ(answer_to("POST / HTTP/1.1\r\n\r\n"), "HTTP/1.1 405");
    EXPECT_EQ(answer_to("hello\r\n\r\n"), "HTTP/1.1 400");
    std::string endless = "GET / HTTP/1.1\r\nX: ";
    endless.resize(http_server::largest_request, 'a');
    EXPECT_EQ(answer_to(endless), "HTTP/1.1 431");
}

TEST(HttpServer, AHandlerThatThrowsCostsItsConnectionOnly) {
    http_server server{"127.0.0.1:0", echo};
    EXPECT_EQ(test::http_get(server.port(), "/throws"), "");
    EXPECT_TRUE(test::http_get(server.port(), "/next").ends_with("/next|"));
}

TEST(HttpServer, SilentClientsDoNotKeepOthersOut) {
    http_server server{"127.0.0.1:0", echo};
    std::vector<std::unique_ptr<test::http_client>> silent;
    for (std::size_t i = 0; i < http_server::most_connections * 2; ++i) {
        silent.push_back(std::make_unique<test::http_client>(server.port()));
        ASSERT_TRUE(silent.back()->connected());
    }
    EXPECT_TRUE(test::http_get(server.port(), "/alive").ends_with("/alive|"));
}

TEST(HttpServer, EndsWhileClientsAreConnected) {
    auto server = std::make_unique<http_server>("127.0.0.1:0", echo);
    test::http_client client{server->port()};
    client.send("GET /");
    server.reset();
    EXPECT_EQ(client.receive(), "");
}

TEST(HttpServer, IPv6IsWrittenInBrackets) {
    try {
        http_server server{"[::1]:0", echo};
        EXPECT_EQ(server.address(), "[::1]:" + std::to_string(server.port()));
    } catch (const std::system_error&) {
        GTEST_SKIP() << "this machine has no IPv6";
    }
}

TEST(HttpServer, AWrongAddressIsExplained) {
    for (const char* address : {"", "9464", ":9464", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536", "127.0.0.1:-1",
                                "::1:9464", "no such host:1"})
        EXPECT_THROW((http_server{address, echo}), std::invalid_argument) << address;
}

TEST(HttpServer, APortInUseIsExplained) {
    http_server server{"127.0.0.1:0", echo};
    try {
        http_server second{server.address(), echo};
        FAIL() << "two servers on one port";
    } catch (const std::system_error& refused) {
        EXPECT_EQ(refused.code(), std::errc::address_in_use);
        std::string text = refused.what();
        EXPECT_NE(text.find("cannot listen on " + server.address()), std::string::npos) << text;
        EXPECT_NE(text.find("choose another port, or 0 for any free one"), std::string::npos) << text;
    }
}

}  // namespace
}  // namespace belay::detail
