// An incremental parser of the Redis protocol (RESP2 requests and inline commands).
//
//     kv::resp_parser parser;
//     kv::parse_result result = parser.parse(buffer.unconsumed());
//     if (result.status == kv::parse_status::command) run(result.args);
//     buffer.consume(result.consumed);
//
// It reads a contiguous buffer and yields views into it: nothing is copied, except inline arguments, whose quotes must go.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kv {

struct parser_limits {
    std::size_t max_line = 64 * 1024;            // an inline command, or the text of a count
    std::size_t max_args = 1'048'576;            // arguments of one command
    std::size_t max_bulk = 512 * 1024 * 1024;    // one argument
    std::size_t max_query = 1024 * 1024 * 1024;  // one command with everything around its arguments
};

enum class parse_status { need_more, command, protocol_error };

struct parse_result {
    parse_status status = parse_status::need_more;
    std::size_t consumed = 0;                // bytes that the caller drops (blank lines too, so also with need_more)
    std::size_t wanted = 0;                  // need_more: nothing can happen before this many more bytes have come
    std::span<const std::string_view> args{};  // command: never empty
    std::string_view error{};                // protocol_error: Redis' sentence, without "-ERR "
};

// Contract:
// - Every call gets all unconsumed bytes, from the first. They may have moved since the last call, not changed.
// - What was scanned is not scanned again, however small the pieces are in which a command arrives.
// - `args` and `error` are valid until the next call, and `args` only while the buffer stays where it is.
// - A command takes memory in proportion to the bytes that came, whatever lengths it announced.
// - After protocol_error the stream has no meaning any more: answer, close, and parse nothing else.
class resp_parser {
public:
    explicit resp_parser(parser_limits limits = {}) : limits_(limits) {}

    [[nodiscard]] parse_result parse(std::string_view input);

private:
    enum class phase { start, inline_line, count_line, bulk_line, bulk_body, finished, failed };
    enum class progress { advanced, starved };
    struct slice {
        std::size_t offset;
        std::size_t size;
    };

    progress step(std::string_view input);
    progress read_inline(std::string_view input);
    progress read_count(std::string_view input);
    progress read_bulk_length(std::string_view input);
    progress read_bulk(std::string_view input);
    progress find_line(std::string_view input, char end, std::string_view too_long);
    progress want(std::size_t more);
    progress fail(std::string_view message);
    progress skip_blank();
    bool split_inline(std::string_view line);
    void begin_command();
    void forget_blanks();
    parse_result deliver(std::string_view text_of_args);

    parser_limits limits_;
    phase phase_ = phase::start;
    bool inline_ = false;
    std::size_t start_ = 0;      // where the command begins, after blank ones; non-zero only within a call
    std::size_t position_ = 0;   // everything before it is understood
    std::size_t scanned_ = 0;    // position_..scanned_ holds no end of line
    std::size_t line_size_ = 0;  // set by find_line
    std::size_t wanted_ = 0;
    std::size_t args_left_ = 0;
    std::size_t bulk_size_ = 0;
    std::vector<slice> slices_;  // offsets, because the buffer moves when it grows
    std::vector<std::string_view> views_;
    std::string inline_text_;    // inline arguments without their quotes, back to back
    std::string error_;
};

}  // namespace kv
