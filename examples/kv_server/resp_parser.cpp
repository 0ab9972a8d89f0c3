#include "resp_parser.hpp"

#include "number.hpp"

#include <optional>
#include <utility>

namespace kv {
namespace {

constexpr std::size_t crlf = 2;
constexpr std::size_t kept_args = 1024;  // a command of more arguments does not leave its tables behind

constexpr bool is_space(char c) noexcept { return c == ' ' || (c >= '\t' && c <= '\r'); }
constexpr bool ends_word(char c) noexcept { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

constexpr int hex_digit(char c) noexcept {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

constexpr char unescaped(char c) noexcept {
    switch (c) {
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    case 'b': return '\b';
    case 'a': return '\a';
    default: return c;
    }
}

// The reader of one inline line: words, "C-like \x41 strings" and 'plain strings'.
class inline_reader {
public:
    inline_reader(std::string_view line, std::string& out) : line_(line), out_(out) {}

    bool next_word_begins() {
        while (at_ < line_.size() && is_space(line_[at_])) ++at_;
        return at_ < line_.size();
    }

    // Appends one word to the output; false for quotes that do not balance.
    bool read_word() {
        while (at_ < line_.size() && !ends_word(line_[at_])) {
            const char c = line_[at_++];
            if (c == '"' || c == '\'') return read_quoted(c);
            out_.push_back(c);
        }
        return true;
    }

private:
    bool read_quoted(char quote) {
        while (at_ < line_.size()) {
            const char c = line_[at_++];
            if (c == quote) return at_ == line_.size() || is_space(line_[at_]);
            if (c == '\\' && at_ < line_.size()) {
                read_escape(quote);
            } else {
                out_.push_back(c);
            }
        }
        return false;
    }

    void read_escape(char quote) {
        if (quote == '\'') {
            out_.push_back(line_[at_] == '\'' ? line_[at_++] : '\\');
            return;
        }
        if (line_[at_] == 'x' && at_ + 2 < line_.size()) {
            const int high = hex_digit(line_[at_ + 1]);
            const int low = hex_digit(line_[at_ + 2]);
            if (high >= 0 && low >= 0) {
                out_.push_back(static_cast<char>(high * 16 + low));
                at_ += 3;
                return;
            }
        }
        out_.push_back(unescaped(line_[at_++]));
    }

    std::string_view line_;
    std::string& out_;
    std::size_t at_ = 0;
};

}  // namespace

parse_result resp_parser::parse(std::string_view input) {
    while (phase_ != phase::finished && phase_ != phase::failed) {
        if (step(input) == progress::advanced) continue;
        parse_result result{.consumed = start_, .wanted = wanted_};
        forget_blanks();
        return result;
    }
    if (phase_ == phase::failed) return {.status = parse_status::protocol_error, .error = error_};
    return deliver(inline_ ? std::string_view(inline_text_) : input);
}

resp_parser::progress resp_parser::step(std::string_view input) {
    switch (phase_) {
    case phase::start:
        if (position_ == input.size()) return want(1);
        begin_command();
        inline_ = input[position_] != '*';
        phase_ = inline_ ? phase::inline_line : phase::count_line;
        return progress::advanced;
    case phase::inline_line: return read_inline(input);
    case phase::count_line: return read_count(input);
    case phase::bulk_line: return read_bulk_length(input);
    case phase::bulk_body: return read_bulk(input);
    case phase::finished:
    case phase::failed: break;
    }
    return progress::advanced;
}

void resp_parser::begin_command() {
    if (slices_.capacity() > kept_args) {
        slices_ = {};
        views_ = {};
    }
    slices_.clear();
    scanned_ = position_;
}

resp_parser::progress resp_parser::read_inline(std::string_view input) {
    if (find_line(input, '\n', "too big inline request") == progress::starved) return progress::starved;
    if (phase_ == phase::failed) return progress::advanced;
    std::string_view line = input.substr(position_, line_size_);
    if (line.ends_with('\r')) line.remove_suffix(1);
    position_ += line_size_ + 1;
    if (!split_inline(line)) return fail("unbalanced quotes in request");
    if (slices_.empty()) return skip_blank();
    phase_ = phase::finished;
    return progress::advanced;
}

bool resp_parser::split_inline(std::string_view line) {
    inline_text_.clear();
    inline_reader reader(line, inline_text_);
    while (reader.next_word_begins()) {
        const std::size_t begin = inline_text_.size();
        if (!reader.read_word()) return false;
        slices_.push_back({begin, inline_text_.size() - begin});
    }
    return true;
}

resp_parser::progress resp_parser::read_count(std::string_view input) {
    if (find_line(input, '\r', "too big mbulk count string") == progress::starved) return progress::starved;
    if (phase_ == phase::failed) return progress::advanced;
    const auto count = parse_integer(input.substr(position_ + 1, line_size_ - 1));
    if (!count || (*count > 0 && std::cmp_greater(*count, limits_.max_args))) return fail("invalid multibulk length");
    position_ += line_size_ + crlf;
    if (*count <= 0) return skip_blank();
    args_left_ = static_cast<std::size_t>(*count);
    scanned_ = position_;
    phase_ = phase::bulk_line;
    return progress::advanced;
}

resp_parser::progress resp_parser::read_bulk_length(std::string_view input) {
    // Redis looks at the first byte only when the line is whole; answering at once would split replies differently.
    if (find_line(input, '\r', "too big bulk count string") == progress::starved) return progress::starved;
    if (phase_ == phase::failed) return progress::advanced;
    if (input[position_] != '$') return fail(std::string("expected '$', got '") + input[position_] + '\'');
    const auto size = parse_integer(input.substr(position_ + 1, line_size_ - 1));
    if (!size || *size < 0 || std::cmp_greater(*size, limits_.max_bulk)) return fail("invalid bulk length");
    bulk_size_ = static_cast<std::size_t>(*size);
    position_ += line_size_ + crlf;
    if (position_ - start_ + bulk_size_ + crlf > limits_.max_query) return fail("too big query");
    phase_ = phase::bulk_body;
    return progress::advanced;
}

resp_parser::progress resp_parser::read_bulk(std::string_view input) {
    // As Redis does, whatever two bytes follow the data pass as its end of line.
    const std::size_t needed = bulk_size_ + crlf;
    const std::size_t available = input.size() - position_;
    if (available < needed) return want(needed - available);
    slices_.push_back({position_, bulk_size_});
    position_ += needed;
    scanned_ = position_;
    phase_ = --args_left_ == 0 ? phase::finished : phase::bulk_line;
    return progress::advanced;
}

// Looks for `end` from scanned_ on. A line that ends with '\r' is found only when the byte after it is there too.
resp_parser::progress resp_parser::find_line(std::string_view input, char end, std::string_view too_long) {
    const std::size_t terminator = end == '\r' ? crlf : 1;
    const std::size_t found = input.find(end, scanned_);
    line_size_ = (found == std::string_view::npos ? input.size() : found) - position_;
    if (line_size_ > limits_.max_line) return fail(too_long);
    scanned_ = position_ + line_size_;
    if (found == std::string_view::npos || input.size() - found < terminator) return want(1);
    return progress::advanced;
}

resp_parser::progress resp_parser::want(std::size_t more) {
    wanted_ = more;
    return progress::starved;
}

resp_parser::progress resp_parser::fail(std::string_view message) {
    error_ = "Protocol error: ";
    error_ += message;
    phase_ = phase::failed;
    return progress::advanced;
}

resp_parser::progress resp_parser::skip_blank() {
    start_ = position_;
    phase_ = phase::start;
    return progress::advanced;
}

// The caller drops what was blank, so that the next input begins where the command does.
void resp_parser::forget_blanks() {
    if (start_ == 0) return;
    for (slice& arg : slices_) arg.offset -= start_;
    position_ -= start_;
    scanned_ -= start_;
    start_ = 0;
}

parse_result resp_parser::deliver(std::string_view text_of_args) {
    views_.clear();
    for (const auto& [offset, size] : slices_) views_.push_back(text_of_args.substr(offset, size));
    phase_ = phase::start;
    start_ = 0;
    scanned_ = 0;
    return {.status = parse_status::command, .consumed = std::exchange(position_, 0), .args = views_};
}

}  // namespace kv
