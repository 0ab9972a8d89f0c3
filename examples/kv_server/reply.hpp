// The replies of one connection, appended in RESP2 to one buffer that is written to the socket in one go.
//
//     reply out;
//     out.bulk("value");                      // "$5\r\nvalue\r\n"
//     co_await peer.write_all(out.bytes());
//     out.clear();
#pragma once

#include "number.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace kv {

// Contract: never holds more than `limit` bytes. What would, is dropped and overflowed() becomes true: the stream of
// replies has a hole then, so the connection must close without sending them.
class reply {
public:
    static constexpr std::size_t default_limit = 1024 * 1024 * 1024;

    explicit reply(std::size_t limit = default_limit) : limit_(limit) {}

    void ok() { append("+OK\r\n"); }
    void null() { append("$-1\r\n"); }
    void simple(std::string_view text) { line('+', text); }
    void integer(std::int64_t value) { line(':', printed_integer(value).view()); }
    void array(std::size_t count) { line('*', printed_integer(static_cast<std::int64_t>(count)).view()); }

    void bulk(std::string_view data) {
        if (data.size() > room()) return overflow();
        line('$', printed_integer(static_cast<std::int64_t>(data.size())).view());
        append(data);
        append("\r\n");
    }

    // `message` begins with its code: "ERR syntax error". Line breaks in it would forge a reply; they become spaces.
    void error(std::string_view message) {
        append("-");
        const std::size_t begin = out_.size();
        append(message);
        for (std::size_t i = begin; i < out_.size(); ++i) {
            if (out_[i] == '\r' || out_[i] == '\n') out_[i] = ' ';
        }
        append("\r\n");
    }

    // Appends replies that are serialised already.
    void raw(std::string_view replies) { append(replies); }

    void overflow() noexcept { overflowed_ = true; }

    [[nodiscard]] bool overflowed() const noexcept { return overflowed_; }
    [[nodiscard]] std::size_t room() const noexcept { return limit_ - out_.size(); }
    [[nodiscard]] std::size_t size() const noexcept { return out_.size(); }
    [[nodiscard]] bool empty() const noexcept { return out_.empty(); }
    [[nodiscard]] std::string_view bytes() const noexcept { return out_; }

    // Forgets the bytes, and their memory if it is more than an ordinary connection needs.
    void clear() {
        if (out_.capacity() > kept_capacity) {
            out_ = std::string();
        } else {
            out_.clear();
        }
    }

private:
    static constexpr std::size_t kept_capacity = 64 * 1024;

    void line(char type, std::string_view text) {
        if (text.size() + 3 > room()) return overflow();
        out_.push_back(type);
        out_.append(text);
        out_.append("\r\n", 2);
    }

    void append(std::string_view text) {
        if (text.size() > room()) return overflow();
        out_.append(text);
    }

    std::string out_;
    std::size_t limit_;
    bool overflowed_ = false;
};

}  // namespace kv
