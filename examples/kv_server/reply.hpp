// The replies of one connection in RESP2: one buffer, and between its parts the large values, which are not copied.
//
//     reply out;
//     out.bulk("value");                      // "$5\r\nvalue\r\n"
//     co_await peer.write_all(out.pieces());
//     out.clear();
#pragma once

#include "number.hpp"
#include "value.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kv {

// Contract: never holds more than `limit` bytes. What would, is dropped and overflowed() becomes true: the stream of
// replies has a hole then, so the connection must close without sending them.
class reply {
public:
    static constexpr std::size_t default_limit = 1024 * 1024 * 1024;
    static constexpr std::size_t attached_size = 64 * 1024;  // values from here on are attached, not copied

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

    // However many clients are being sent a large value, it is in memory once.
    void bulk(const value& data) {
        if (data.size() < attached_size || !data.is_large()) return bulk(data.view());
        if (data.size() > room()) return overflow();
        line('$', printed_integer(static_cast<std::int64_t>(data.size())).view());
        attached_.push_back({out_.size(), data});
        attached_bytes_ += data.size();
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
    [[nodiscard]] std::size_t room() const noexcept { return limit_ - size(); }
    [[nodiscard]] std::size_t size() const noexcept { return out_.size() + attached_bytes_; }
    [[nodiscard]] bool empty() const noexcept { return out_.empty(); }
    // Without what is attached.
    [[nodiscard]] std::string_view bytes() const noexcept { return out_; }

    // All of it in order, valid until the next change; empty when there is nothing.
    [[nodiscard]] std::span<const std::span<const std::byte>> pieces() {
        pieces_.clear();
        std::size_t at = 0;
        for (const attachment& one : attached_) {
            add_piece(bytes().substr(at, one.at - at));
            add_piece(one.data.view());
            at = one.at;
        }
        if (at < out_.size()) add_piece(bytes().substr(at));
        return pieces_;
    }

    // Forgets the bytes, and their memory if it is more than an ordinary connection needs.
    void clear() {
        attached_.clear();
        attached_bytes_ = 0;
        if (out_.capacity() > kept_capacity) {
            out_ = std::string();
        } else {
            out_.clear();
        }
    }

private:
    static constexpr std::size_t kept_capacity = 64 * 1024;

    struct attachment {
        std::size_t at;  // behind so many bytes of out_
        value data;
    };

    void add_piece(std::string_view bytes) { pieces_.push_back(std::as_bytes(std::span(bytes))); }

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
    std::vector<attachment> attached_;
    std::vector<std::span<const std::byte>> pieces_;
    std::size_t attached_bytes_ = 0;
    std::size_t limit_;
    bool overflowed_ = false;
};

}  // namespace kv
