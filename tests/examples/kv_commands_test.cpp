#include <kv_server/commands.hpp>
#include <kv_server/conversation.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

using namespace std::chrono_literals;
using words = std::vector<std::string>;

const kv::time_point start{1'700'000'000'000ms};

std::string request(const words& args) {
    std::string text = "*" + std::to_string(args.size()) + "\r\n";
    for (const std::string& arg : args) text += "$" + std::to_string(arg.size()) + "\r\n" + arg + "\r\n";
    return text;
}

std::string bulk(std::string_view text) { return "$" + std::to_string(text.size()) + "\r\n" + std::string(text) + "\r\n"; }

const std::string ok = "+OK\r\n";
const std::string null = "$-1\r\n";
const std::string syntax_error = "-ERR syntax error\r\n";
const std::string not_an_integer = "-ERR value is not an integer or out of range\r\n";

std::string text_of(std::span<const std::span<const std::byte>> pieces) {
    std::string text;
    for (const auto& piece : pieces) text.append(reinterpret_cast<const char*>(piece.data()), piece.size());
    return text;
}

class KvCommands : public testing::Test {
protected:
    std::string run(const words& args) {
        kv::reply out;
        const std::vector<std::string_view> views(args.begin(), args.end());
        kv::execute(views, {.data = data, .who = who, .out = out, .now = now, .server = status});
        return text_of(out.pieces());
    }
    // The words of a line, separated by single spaces.
    std::string run(std::string_view line) {
        words args;
        for (std::size_t at = 0; at <= line.size();) {
            const std::size_t end = std::min(line.find(' ', at), line.size());
            args.emplace_back(line.substr(at, end - at));
            at = end + 1;
        }
        return run(args);
    }

    kv::store data{{.shards = 4, .hash_seed = 1}};
    kv::session who{.id = 7, .peer = "127.0.0.1:1", .since = start, .name = {}};
    kv::server_status status;
    kv::time_point now = start;
};

TEST_F(KvCommands, NamesAreFoundWhateverTheirCase) {
    EXPECT_EQ(run("PING"), "+PONG\r\n");
    EXPECT_EQ(run("pInG hi"), bulk("hi"));
    EXPECT_EQ(run("flushALL"), ok);
    for (const kv::command& one : kv::all_commands()) {
        EXPECT_EQ(run(words{std::string(one.name)}).find("unknown command"), std::string::npos) << one.name;
    }
    EXPECT_EQ(who.commands, 3 + kv::all_commands().size());
}

TEST_F(KvCommands, AnUnknownCommandIsNamedWithTheBeginningOfItsArguments) {
    EXPECT_EQ(run("foo"), "-ERR unknown command 'foo', with args beginning with: \r\n");
    EXPECT_EQ(run("foo a b"), "-ERR unknown command 'foo', with args beginning with: 'a' 'b' \r\n");
    EXPECT_EQ(run(words{"x\r\n+OK"}), "-ERR unknown command 'x  +OK', with args beginning with: \r\n")
        << "a line break would forge a reply";
    EXPECT_EQ(run(words{"foo", std::string(500, 'a'), "b"}),
              "-ERR unknown command 'foo', with args beginning with: '" + std::string(128, 'a') + "' \r\n");
    EXPECT_EQ(run(words{""}), "-ERR unknown command '', with args beginning with: \r\n");
}

TEST_F(KvCommands, TheNumberOfArgumentsIsChecked) {
    for (const char* line : {"get", "get a b", "set a", "mset", "mset a", "mset a 1 b", "echo", "ping a b", "incr", "ttl"}) {
        const std::string_view text(line);
        EXPECT_EQ(run(text),
                  "-ERR wrong number of arguments for '" + std::string(text.substr(0, text.find(' '))) + "' command\r\n");
    }
    EXPECT_EQ(run("config get"), "-ERR wrong number of arguments for 'config|get' command\r\n");
    EXPECT_EQ(run("client foo"), "-ERR unknown subcommand 'foo'. Try CLIENT HELP.\r\n");
}

TEST_F(KvCommands, SetTakesItsOptionsInAnyOrder) {
    EXPECT_EQ(run("SET k v"), ok);
    EXPECT_EQ(run("GET k"), bulk("v"));
    EXPECT_EQ(run("SET k w NX"), null);
    EXPECT_EQ(run("SET k w nx get"), bulk("v"));
    EXPECT_EQ(run("SET none w XX GET"), null);
    EXPECT_EQ(run("SET k w EX 100 XX GET"), bulk("v"));
    EXPECT_EQ(run("TTL k"), ":100\r\n");
    EXPECT_EQ(run("SET k x KEEPTTL"), ok);
    EXPECT_EQ(run("PTTL k"), ":100000\r\n");
    EXPECT_EQ(run("SET k x PX 1500"), ok);
    EXPECT_EQ(run("TTL k"), ":2\r\n") << "rounded to the nearest second, as Redis does";
    EXPECT_EQ(run("SET k x PXAT 1700000001000"), ok);
    EXPECT_EQ(run("PTTL k"), ":1000\r\n");
    EXPECT_EQ(run("SET k x EXAT 1700000002"), ok);
    EXPECT_EQ(run("PTTL k"), ":2000\r\n");
    for (const char* line : {"SET k v NX XX", "SET k v EX", "SET k v EX 1 PX 1", "SET k v KEEPTTL EX 1", "SET k v FOO"}) {
        EXPECT_EQ(run(line), syntax_error) << line;
    }
}

TEST_F(KvCommands, ExpiryTimesOutOfRangeAreRefused) {
    for (const char* line : {"SET k v EX 0", "SET k v PX -1", "SET k v EX 9223372036854775807", "SET k v EXAT 9223372036854776",
                             "SET k v PX 9223372036854775807"}) {
        EXPECT_EQ(run(line), "-ERR invalid expire time in 'set' command\r\n") << line;
    }
    EXPECT_EQ(run("SET k v EX 1.5"), not_an_integer);
    EXPECT_EQ(run("EXPIRE k 9223372036854775807"), "-ERR invalid expire time in 'expire' command\r\n");
    EXPECT_EQ(run("PEXPIRE k 9223372036854775807"), "-ERR invalid expire time in 'pexpire' command\r\n");
}

TEST_F(KvCommands, KeysExpireByTheClockThatIsPassedIn) {
    run("SET k v");
    EXPECT_EQ(run("EXPIRE k 10"), ":1\r\n");
    EXPECT_EQ(run("EXPIRE none 10"), ":0\r\n");
    now += 9'999ms;
    EXPECT_EQ(run("PTTL k"), ":1\r\n");
    EXPECT_EQ(run("PERSIST k"), ":1\r\n");
    EXPECT_EQ(run("TTL k"), ":-1\r\n");
    EXPECT_EQ(run("PEXPIRE k 5 NX"), ":1\r\n");
    now += 5ms;
    EXPECT_EQ(run("TTL k"), ":-2\r\n");
    EXPECT_EQ(run("GET k"), null);
    run("SET k v");
    EXPECT_EQ(run("EXPIRE k -1"), ":1\r\n");
    EXPECT_EQ(run("EXISTS k"), ":0\r\n");
    EXPECT_EQ(run("EXPIRE k 1 GT LT"), "-ERR GT and LT options at the same time are not compatible\r\n");
    EXPECT_EQ(run("EXPIRE k 1 NX XX"), "-ERR NX and XX, GT or LT options at the same time are not compatible\r\n");
    EXPECT_EQ(run("EXPIRE k 1 FOO"), "-ERR Unsupported option FOO\r\n");
}

TEST_F(KvCommands, CountersCount) {
    EXPECT_EQ(run("INCR n"), ":1\r\n");
    EXPECT_EQ(run("INCRBY n 41"), ":42\r\n");
    EXPECT_EQ(run("DECR n"), ":41\r\n");
    EXPECT_EQ(run("DECRBY n 50"), ":-9\r\n");
    EXPECT_EQ(run("DECRBY n -9223372036854775808"), "-ERR decrement would overflow\r\n");
    run("SET n 9223372036854775807");
    EXPECT_EQ(run("INCR n"), "-ERR increment or decrement would overflow\r\n");
    run("SET n abc");
    EXPECT_EQ(run("INCR n"), not_an_integer);
    EXPECT_EQ(run("INCRBY n 1x"), not_an_integer);
}

TEST_F(KvCommands, ManyKeysAtOnce) {
    EXPECT_EQ(run("MSET a 1 b 2"), ok);
    EXPECT_EQ(run("MGET a none b"), "*3\r\n" + bulk("1") + null + bulk("2"));
    EXPECT_EQ(run("EXISTS a a none"), ":2\r\n");
    EXPECT_EQ(run("DBSIZE"), ":2\r\n");
    EXPECT_EQ(run("DEL a b none"), ":2\r\n");
    EXPECT_EQ(run("KEYS *"), "*0\r\n");
    run("MSET hello 1 hallo 2 x 3");
    EXPECT_EQ(run("KEYS h[e]llo"), "*1\r\n" + bulk("hello"));
    EXPECT_EQ(run("FLUSHDB FOO"), syntax_error);
    EXPECT_EQ(run("FLUSHDB ASYNC"), ok);
    EXPECT_EQ(run("DBSIZE"), ":0\r\n");
}

TEST_F(KvCommands, StringsGrowAndAreMeasured) {
    EXPECT_EQ(run("APPEND k abc"), ":3\r\n");
    EXPECT_EQ(run("APPEND k def"), ":6\r\n");
    EXPECT_EQ(run("STRLEN k"), ":6\r\n");
    EXPECT_EQ(run("TYPE k"), "+string\r\n");
    EXPECT_EQ(run("TYPE none"), "+none\r\n");
}

TEST_F(KvCommands, TheConnectionIsKnownByItsNameAndNumber) {
    EXPECT_EQ(run("CLIENT ID"), ":7\r\n");
    EXPECT_EQ(run("CLIENT GETNAME"), null);
    EXPECT_EQ(run("CLIENT SETNAME bob"), ok);
    EXPECT_EQ(run("client getname"), bulk("bob"));
    EXPECT_EQ(run(words{"CLIENT", "SETNAME", "a b"}),
              "-ERR Client names cannot contain spaces, newlines or special characters.\r\n");
    EXPECT_EQ(run("CLIENT SETINFO LIB-NAME redis-py"), ok);
    EXPECT_EQ(run("CLIENT SETINFO FOO x"), "-ERR Unrecognized option 'FOO'\r\n");
    EXPECT_NE(run("CLIENT LIST").find("id=7 addr=127.0.0.1:1 name=bob"), std::string::npos);
    EXPECT_FALSE(who.quit);
    EXPECT_EQ(run("QUIT"), ok);
    EXPECT_TRUE(who.quit);
}

TEST_F(KvCommands, OnlyWhatTheServerSpeaksIsNegotiated) {
    EXPECT_EQ(run("HELLO 3"), "-NOPROTO unsupported protocol version\r\n");
    EXPECT_EQ(run("HELLO x"), "-ERR Protocol version is not an integer or out of range\r\n");
    EXPECT_EQ(run("HELLO 2 FOO"), "-ERR Syntax error in HELLO option 'FOO'\r\n");
    EXPECT_TRUE(run("HELLO 2 SETNAME eve").starts_with("*14\r\n$6\r\nserver\r\n"));
    EXPECT_EQ(who.name, "eve");
    EXPECT_EQ(run("SELECT 0"), ok);
    EXPECT_EQ(run("SELECT 1"), "-ERR DB index is out of range\r\n");
    EXPECT_EQ(run("SELECT x"), not_an_integer);
}

TEST_F(KvCommands, TheServerDescribesItself) {
    const std::pair<std::string_view, std::string> config[] = {{"save", ""}, {"appendonly", "no"}};
    status.config = config;
    EXPECT_EQ(run("CONFIG GET save"), "*2\r\n" + bulk("save") + bulk(""));
    EXPECT_EQ(run("CONFIG GET *"), "*4\r\n" + bulk("save") + bulk("") + bulk("appendonly") + bulk("no"));
    EXPECT_EQ(run("CONFIG GET none"), "*0\r\n");
    run("SET k v EX 5");
    EXPECT_NE(run("INFO").find("db0:keys=1,expires=1"), std::string::npos);
    EXPECT_EQ(run("INFO keyspace").find("redis_version"), std::string::npos);
    EXPECT_EQ(run("INFO nothing"), bulk(""));
    EXPECT_EQ(run("COMMAND COUNT"), ":" + std::to_string(kv::all_commands().size()) + "\r\n");
    EXPECT_EQ(run("COMMAND DOCS"), "*0\r\n");
    EXPECT_TRUE(run("COMMAND").starts_with("*" + std::to_string(kv::all_commands().size()) + "\r\n*6\r\n"));
}

// A conversation in memory: what a socket would carry.
class KvConversation : public KvCommands {
protected:
    struct said {
        std::string text;
        bool closed = false;
    };

    // Sends the text in pieces of at most `piece` bytes.
    said say(std::string_view text, std::size_t piece = SIZE_MAX, kv::conversation_options options = {}) {
        kv::conversation talk(data, status, who, options);
        said heard;
        std::size_t wanted = 1;
        while (!text.empty() && !heard.closed) {
            const auto room = talk.room(wanted);
            const std::size_t size = std::min({room.size(), text.size(), piece});
            std::memcpy(room.data(), text.data(), size);
            text.remove_prefix(size);
            talk.received(size);
            for (bool more = true; more;) {
                const kv::turn turn = talk.run(now);
                heard.text += text_of(talk.replies());
                talk.replied();
                heard.closed = turn.next == kv::next_step::close;
                more = turn.next == kv::next_step::again;
                wanted = turn.wanted;
            }
        }
        return heard;
    }
};

TEST_F(KvConversation, PipelinedCommandsAreAnsweredInOrder) {
    const std::string text = request({"SET", "k", "v"}) + request({"GET", "k"}) + "PING\r\n" + request({"STRLEN", "k"});
    for (const std::size_t piece : {1UL, 2UL, 7UL, SIZE_MAX}) {
        const said heard = say(text, piece);
        EXPECT_EQ(heard.text, ok + bulk("v") + "+PONG\r\n:1\r\n");
        EXPECT_FALSE(heard.closed);
    }
    EXPECT_EQ(status.commands_total, 16U);
}

TEST_F(KvConversation, AProtocolErrorIsAnsweredThenClosed) {
    const said heard = say("PING\r\n*1\r\nPING\r\nPING\r\n");
    EXPECT_EQ(heard.text, "+PONG\r\n-ERR Protocol error: expected '$', got 'P'\r\n");
    EXPECT_TRUE(heard.closed);
    EXPECT_EQ(say("*1\r\n\r\n").text, "-ERR Protocol error: expected '$', got ' '\r\n");
}

TEST_F(KvConversation, NothingRunsAfterQuit) {
    const said heard = say("QUIT\r\nSET k v\r\n");
    EXPECT_EQ(heard.text, ok);
    EXPECT_TRUE(heard.closed);
    EXPECT_EQ(run("EXISTS k"), ":0\r\n");
}

TEST_F(KvConversation, LargeValuesGoInAndOut) {
    const std::string megabytes(5'000'000, 'x');
    const said heard = say(request({"SET", "k", megabytes}) + request({"GET", "k"}), 100'000);
    EXPECT_EQ(heard.text, ok + bulk(megabytes));
}

TEST_F(KvConversation, ALargeValueIsSentWhereItLies) {
    const std::string large(kv::reply::attached_size, 'x');
    run(words{"MSET", "k", large, "s", "small"});
    kv::conversation talk(data, status, who);
    const std::string text = request({"MGET", "s", "k", "s", "k"});
    std::memcpy(talk.room(text.size()).data(), text.data(), text.size());
    talk.received(text.size());
    static_cast<void>(talk.run(now));
    const auto pieces = talk.replies();
    ASSERT_EQ(pieces.size(), 5U);
    EXPECT_EQ(pieces[1].data(), pieces[3].data());
    run(words{"SET", "k", "other"});
    EXPECT_EQ(text_of(pieces), "*4\r\n" + bulk("small") + bulk(large) + bulk("small") + bulk(large));
}

TEST_F(KvConversation, RepliesAreWrittenBeforeTheyPileUp) {
    run(words{"SET", "k", std::string(1'000, 'x')});
    kv::conversation talk(data, status, who, {.flush_at = 10'000});
    std::string text;
    for (int i = 0; i < 100; ++i) text += request({"GET", "k"});
    for (std::string_view rest = text; !rest.empty();) {
        const auto room = talk.room(1);
        const std::size_t size = std::min(room.size(), rest.size());
        std::memcpy(room.data(), rest.data(), size);
        rest.remove_prefix(size);
        talk.received(size);
    }
    EXPECT_EQ(talk.run(now).next, kv::next_step::again);
    EXPECT_GE(text_of(talk.replies()).size(), 10'000U);
    EXPECT_LE(text_of(talk.replies()).size(), 12'000U);
}

TEST_F(KvConversation, AReplyBeyondTheLimitClosesInsteadOfTruncating) {
    run(words{"MSET", "k", std::string(30'000, 'x'), "s", std::string(900, 'x')});
    const kv::conversation_options small{.limits = {}, .flush_at = 100'000, .max_reply = 50'000};
    EXPECT_FALSE(say(request({"GET", "k"}), SIZE_MAX, small).closed);
    for (const words& args : {words{"MGET", "k", "k"}, words{"MGET", "s", "k", "s", "k"}}) {
        const said heard = say(request(args), SIZE_MAX, small);
        EXPECT_EQ(heard.text, "");
        EXPECT_TRUE(heard.closed);
    }
}

TEST(KvReceiveBuffer, GrowsByWhatCameNotByWhatWasAnnounced) {
    kv::receive_buffer buffer;
    EXPECT_EQ(buffer.room(1).size(), kv::receive_buffer::smallest);
    EXPECT_LE(buffer.room(512 * 1024 * 1024).size(), kv::receive_buffer::ordinary);
    for (int i = 0; i < 100; ++i) {  // one byte a time of a long argument
        static_cast<void>(buffer.room(512 * 1024 * 1024));
        buffer.received(1);
    }
    EXPECT_LE(buffer.capacity(), kv::receive_buffer::ordinary);
    std::size_t total = 100;
    while (total < 1'000'000) {
        const auto room = buffer.room(1'000'000 - total);
        ASSERT_FALSE(room.empty());
        std::ranges::fill(room, static_cast<std::byte>(total % 251));
        EXPECT_LE(buffer.capacity(), std::max(kv::receive_buffer::ordinary, 4 * total));
        const std::size_t size = std::min(room.size(), 1'000'000 - total);
        buffer.received(size);
        total += size;
    }
    EXPECT_EQ(buffer.unconsumed().size(), 1'000'000U);
}

TEST(KvReceiveBuffer, ShrinksOnlyAfterManySmallReads) {
    kv::receive_buffer buffer;
    while (buffer.capacity() < 100'000) {
        const auto room = buffer.room(1'000'000);
        buffer.received(room.size());
    }
    buffer.consume(buffer.unconsumed().size());
    const std::size_t before = buffer.capacity();
    const auto small_read = [&] {
        static_cast<void>(buffer.room(1));
        buffer.received(10);
        buffer.consume(10);
    };
    for (unsigned i = 0; i < kv::receive_buffer::patience / 2; ++i) small_read();
    EXPECT_EQ(buffer.capacity(), before);
    for (unsigned i = 0; i < kv::receive_buffer::patience * 10; ++i) small_read();
    EXPECT_EQ(buffer.capacity(), kv::receive_buffer::smallest);
}

TEST(KvReceiveBuffer, KeepsItsBytesWhileItMoves) {
    kv::receive_buffer buffer;
    std::mt19937 random(4);
    std::string expected;
    for (int i = 0; i < 2'000; ++i) {
        const auto room = buffer.room(1 + random() % 20'000);
        const std::size_t size = random() % 10 ? std::min<std::size_t>(room.size(), random() % 500) : room.size();
        for (std::size_t at = 0; at < size; ++at) room[at] = static_cast<std::byte>(random());
        expected.append(reinterpret_cast<const char*>(room.data()), size);
        buffer.received(size);
        const bool all = random() % 5 == 0 || expected.size() > 100'000;
        const std::size_t consumed = all ? expected.size() : random() % (expected.size() + 1);
        buffer.consume(consumed);
        expected.erase(0, consumed);
        ASSERT_EQ(buffer.unconsumed(), expected) << "round " << i;
    }
}

TEST_F(KvConversation, MutatedCommandsNeverCrash) {
    const words pool = {"GET",     "SET",  "MSET", "MGET", "APPEND", "INCR",  "DEL",
                        "EXPIRE",  "TTL",  "KEYS", "*",    "CONFIG", "HELLO", "CLIENT",
                        "COMMAND", "INFO", "k",    "j",    "1",      "-1",    "9223372036854775807",
                        "EX",      "NX",   "GET",  "[a-",  "\\"};
    std::mt19937 random(5);
    for (int i = 0; i < 20'000; ++i) {
        std::string text;
        for (auto count = 1 + random() % 3; count > 0; --count) {
            words args;
            for (auto arg = 1 + random() % 5; arg > 0; --arg) args.push_back(pool[random() % pool.size()]);
            text += request(args);
        }
        if (random() % 2) text[random() % text.size()] = static_cast<char>(random());
        if (random() % 4 == 0) text.resize(random() % (text.size() + 1));
        say(text, 1 + random() % 64);
    }
}

}  // namespace
