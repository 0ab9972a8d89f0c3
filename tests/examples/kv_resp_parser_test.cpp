#include <kv_server/resp_parser.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace {

using kv::parse_status;
using words = std::vector<std::string>;

std::string request(const words& args) {
    std::string text = "*" + std::to_string(args.size()) + "\r\n";
    for (const std::string& arg : args) text += "$" + std::to_string(arg.size()) + "\r\n" + arg + "\r\n";
    return text;
}

// What a stream of bytes comes to, whatever the pieces it arrives in.
struct outcome {
    std::vector<words> commands;
    std::string error;
    std::size_t unconsumed = 0;
    bool operator==(const outcome&) const = default;
};

// Feeds the pieces through a buffer that moves at every call, so that a view kept across calls is a use after free.
class feeder {
public:
    explicit feeder(kv::parser_limits limits = {}) : parser_(limits) {}

    void feed(std::string_view piece) {
        pending_ += piece;
        while (result_.error.empty()) {
            const auto moved = std::make_unique<char[]>(pending_.size());  // exactly as long: ASan sees one byte too far
            std::ranges::copy(pending_, moved.get());
            const kv::parse_result parsed = parser_.parse({moved.get(), pending_.size()});
            ASSERT_LE(parsed.consumed, pending_.size());
            if (parsed.status == parse_status::protocol_error) {
                result_.error = parsed.error;
                return;
            }
            if (parsed.status == parse_status::command) {
                ASSERT_FALSE(parsed.args.empty());
                result_.commands.emplace_back(parsed.args.begin(), parsed.args.end());
            } else {
                ASSERT_GE(parsed.wanted, 1U);
                wanted_ = parsed.wanted;
            }
            pending_.erase(0, parsed.consumed);
            if (parsed.status == parse_status::need_more) return;
        }
    }

    [[nodiscard]] std::size_t wanted() const { return wanted_; }
    [[nodiscard]] outcome result() const {
        outcome copy = result_;
        copy.unconsumed = copy.error.empty() ? pending_.size() : 0;
        return copy;
    }

private:
    kv::resp_parser parser_;
    std::string pending_;
    outcome result_;
    std::size_t wanted_ = 0;
};

outcome parse_whole(std::string_view text, kv::parser_limits limits = {}) {
    feeder all(limits);
    all.feed(text);
    return all.result();
}

outcome parse_bytewise(std::string_view text, kv::parser_limits limits = {}) {
    feeder one(limits);
    for (std::size_t i = 0; i < text.size(); ++i) one.feed(text.substr(i, 1));
    return one.result();
}

outcome parse_split(std::string_view text, std::mt19937& random) {
    feeder pieces;
    while (!text.empty()) {
        const std::size_t size = 1 + random() % std::min<std::size_t>(text.size(), 1 + random() % 40);
        pieces.feed(text.substr(0, size));
        text.remove_prefix(size);
    }
    return pieces.result();
}

void expect_error(std::string_view text, std::string_view error) {
    EXPECT_EQ(parse_whole(text).error, "Protocol error: " + std::string(error)) << text;
    EXPECT_EQ(parse_bytewise(text).error, "Protocol error: " + std::string(error)) << text;
}

words only_command(std::string_view text) {
    const outcome result = parse_whole(text);
    EXPECT_EQ(result.error, "");
    EXPECT_EQ(result.commands.size(), 1U) << text;
    EXPECT_EQ(result, parse_bytewise(text)) << text;
    return result.commands.empty() ? words{} : result.commands.front();
}

TEST(RespParser, ACommandComesOutAsItWentIn) {
    EXPECT_EQ(only_command(request({"SET", "key", "value"})), (words{"SET", "key", "value"}));
    EXPECT_EQ(only_command(request({"PING"})), words{"PING"});
    EXPECT_EQ(only_command(request({""})), words{""});
}

TEST(RespParser, ArgumentsAreBinarySafe) {
    const std::string binary("\0\r\n$3\r\n*1\xff", 11);
    EXPECT_EQ(only_command(request({"SET", binary, binary})), (words{"SET", binary, binary}));
}

TEST(RespParser, PipelinedCommandsComeOutOneByOne) {
    const std::string text = request({"GET", "a"}) + "PING\r\n" + request({"GET", "b"}) + "\r\n*0\r\n*-1\r\nECHO x\n";
    const outcome expected{{{"GET", "a"}, {"PING"}, {"GET", "b"}, {"ECHO", "x"}}, "", 0};
    EXPECT_EQ(parse_whole(text), expected);
    EXPECT_EQ(parse_bytewise(text), expected);
}

TEST(RespParser, ArgumentsAreViewsOfTheBuffer) {
    kv::resp_parser parser;
    const std::string text = request({"GET", "key"});
    const auto parsed = parser.parse(text);
    ASSERT_EQ(parsed.status, parse_status::command);
    EXPECT_EQ(parsed.args[1].data(), text.data() + text.find("key"));
    EXPECT_EQ(parsed.consumed, text.size());
}

TEST(RespParser, TellsHowManyBytesAreMissing) {
    feeder pieces;
    pieces.feed("*2\r\n$3\r\nGET\r\n$1000\r\nabc");
    EXPECT_EQ(pieces.wanted(), 1000 - 3 + 2U);
    pieces.feed(std::string(997, 'x'));
    EXPECT_EQ(pieces.wanted(), 2U);
}

TEST(RespParser, BlankInputIsConsumedAtOnce) {
    kv::resp_parser parser;
    EXPECT_EQ(parser.parse("\r\n\n  \r\n*0\r\n").consumed, 11U);
    // What is kept across calls must count from the first unconsumed byte, although blank lines came before it.
    const std::string begun = "\r\n*2\r\n$3\r\nGET\r\n$1";
    const auto partial = parser.parse(begun);
    EXPECT_EQ(partial.consumed, 2U);
    const std::string rest = begun.substr(2) + "\r\nk\r\n";
    const auto parsed = parser.parse(rest);
    ASSERT_EQ(parsed.status, parse_status::command);
    EXPECT_EQ(words(parsed.args.begin(), parsed.args.end()), (words{"GET", "k"}));
}

TEST(RespParser, InlineQuotesAreTakenOff) {
    EXPECT_EQ(only_command("SET  k \t \"a b\"\r\n"), (words{"SET", "k", "a b"}));
    EXPECT_EQ(only_command("ECHO \"\\x41\\n\\r\\t\\b\\a\\\"\\\\\\q\\xzz\"\r\n"), (words{"ECHO", "A\n\r\t\b\a\"\\qxzz"}));
    EXPECT_EQ(only_command("ECHO 'it\\'s \\n'\r\n"), (words{"ECHO", "it's \\n"}));
    EXPECT_EQ(only_command("ECHO a\"b c\"\n"), (words{"ECHO", "ab c"}));
    EXPECT_EQ(only_command("ECHO \"\"\n"), (words{"ECHO", ""}));
    EXPECT_EQ(only_command("PING\rECHO\n"), (words{"PING", "ECHO"}));
}

TEST(RespParser, MalformedInputGetsTheSentenceOfRedis) {
    for (const char* text : {"*a\r\n", "*\r\n", "*+1\r\n", "*01\r\n", "*-0\r\n", "* 1\r\n", "*1048577\r\n",
                             "*99999999999999999999\r\n", "*-9223372036854775809\r\n"}) {
        expect_error(text, "invalid multibulk length");
    }
    for (const char* text : {"*1\r\n$-1\r\n", "*1\r\n$a\r\n", "*1\r\n$\r\n", "*1\r\n$04\r\n", "*1\r\n$ 4\r\n",
                             "*1\r\n$536870913\r\n", "*1\r\n$9223372036854775808\r\n"}) {
        expect_error(text, "invalid bulk length");
    }
    expect_error("*1\r\nPING\r\n", "expected '$', got 'P'");
    expect_error("*2\r\n$1\r\na\r\n:3\r\n", "expected '$', got ':'");
    for (const char* text : {"PING \"foo\r\n", "PING \"foo\"x\r\n", "PING 'foo\r\n", "PING 'a'b\r\n", "PING \"\\\r\n"}) {
        expect_error(text, "unbalanced quotes in request");
    }
}

TEST(RespParser, WhatCameBeforeTheErrorIsStillDelivered) {
    const outcome result = parse_whole(request({"GET", "a"}) + "*1\r\n$x\r\n");
    EXPECT_EQ(result.commands, std::vector<words>(1, words{"GET", "a"}));
    EXPECT_EQ(result.error, "Protocol error: invalid bulk length");
}

TEST(RespParser, LinesOfMoreThanTheLimitAreRefusedBeforeTheyEnd) {
    const std::string digits(65'537, '1');
    EXPECT_EQ(parse_whole(digits).error, "Protocol error: too big inline request");
    EXPECT_EQ(parse_whole("*" + digits).error, "Protocol error: too big mbulk count string");
    EXPECT_EQ(parse_whole("*1\r\n$" + digits).error, "Protocol error: too big bulk count string");
    EXPECT_EQ(parse_whole(std::string(65'535, 'a') + "\n").commands.size(), 1U);
}

TEST(RespParser, EveryLimitIsAnOption) {
    const kv::parser_limits small{.max_line = 8, .max_args = 2, .max_bulk = 16, .max_query = 40};
    for (const auto parse : {parse_whole, parse_bytewise}) {
        EXPECT_EQ(parse("PING 5678\r\n", small).error, "Protocol error: too big inline request");
        EXPECT_EQ(parse("*12345678", small).error, "Protocol error: too big mbulk count string");
        EXPECT_EQ(parse("*1\r\n$12345678", small).error, "Protocol error: too big bulk count string");
    }
    EXPECT_EQ(parse_whole("*3\r\n", small).error, "Protocol error: invalid multibulk length");
    EXPECT_EQ(parse_whole("*1\r\n$17\r\n", small).error, "Protocol error: invalid bulk length");
    EXPECT_EQ(parse_whole(request({std::string(16, 'a'), std::string(16, 'b')}), small).error, "Protocol error: too big query");
    EXPECT_EQ(parse_bytewise(request({std::string(16, 'a'), "b"}), small).commands.size(), 1U);
}

TEST(RespParser, ALongCommandInSmallPiecesIsNotScannedAgain) {
    // Quadratic work would be 2 * 10^11 byte comparisons here.
    std::string text = request(words(20'000, std::string(20, 'x')));
    kv::resp_parser parser;
    std::size_t commands = 0;
    for (std::size_t size = 1; size <= text.size(); ++size) {
        commands += parser.parse(std::string_view(text).substr(0, size)).status == parse_status::command ? 1 : 0;
    }
    EXPECT_EQ(commands, 1U);
}

std::string random_stream(std::mt19937& random) {
    std::string text;
    for (auto count = 1 + random() % 6; count > 0; --count) {
        switch (random() % 4) {
        case 0: text += "PING \"a\\x00b\" 'c'\r\n"; break;
        case 1: text += random() % 2 ? "\r\n" : "*0\r\n"; break;
        default: {
            words args;
            for (auto arg = 1 + random() % 5; arg > 0; --arg) args.emplace_back(random() % 30, static_cast<char>(random()));
            text += request(args);
        }
        }
    }
    return text;
}

TEST(RespParser, TheWayAStreamIsSplitMakesNoDifference) {
    std::mt19937 random(1);
    for (int i = 0; i < 2'000; ++i) {
        const std::string text = random_stream(random);
        const outcome whole = parse_whole(text);
        EXPECT_EQ(whole.error, "");
        EXPECT_EQ(whole.unconsumed, 0U);
        ASSERT_EQ(parse_bytewise(text), whole) << "stream " << i;
        ASSERT_EQ(parse_split(text, random), whole) << "stream " << i;
    }
}

TEST(RespParser, MutatedStreamsNeverCrashAndSplitAlike) {
    constexpr std::string_view interesting = "*$\r\n0123456789-+\"'\\ x";
    std::mt19937 random(2);
    for (int i = 0; i < 20'000; ++i) {
        std::string text = random_stream(random);
        for (auto mutations = 1 + random() % 4; mutations > 0 && !text.empty(); --mutations) {
            const std::size_t at = random() % text.size();
            const char c = random() % 4 ? interesting[random() % interesting.size()] : static_cast<char>(random());
            switch (random() % 4) {
            case 0: text[at] = c; break;
            case 1: text.insert(at, 1, c); break;
            case 2: text.erase(at, 1 + random() % 3); break;
            default: text.insert(at, text.substr(at, random() % 10)); break;
            }
        }
        ASSERT_EQ(parse_split(text, random), parse_whole(text)) << "stream " << i;
    }
}

}  // namespace
