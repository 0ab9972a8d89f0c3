// A blocking client that speaks RESP2, for the tests of a server. It waits as long as it takes: ctest's timeout is the only one.
//
//     redis_client client{port};
//     EXPECT_EQ(client.ask({"GET", "k"}), "$1\r\nv\r\n");
#pragma once

#include <belay/io/descriptor.hpp>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace belay::test {

inline std::string request(std::initializer_list<std::string_view> words) {
    std::string text = "*" + std::to_string(words.size()) + "\r\n";
    for (const std::string_view word : words) {
        text.append("$").append(std::to_string(word.size())).append("\r\n").append(word).append("\r\n");
    }
    return text;
}

inline std::string bulk(std::string_view text) {
    return std::string("$").append(std::to_string(text.size())).append("\r\n").append(text).append("\r\n");
}

struct client_options {
    int buffer = 0;  // of the socket, each way; 0: the system's
};

class redis_client {
public:
    explicit redis_client(std::uint16_t port, client_options options = {})
        : socket_{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)} {
        if (options.buffer > 0) {
            set(SOL_SOCKET, SO_SNDBUF, options.buffer);
            set(SOL_SOCKET, SO_RCVBUF, options.buffer);
        }
        set(IPPROTO_TCP, TCP_NODELAY, 1);
        sockaddr_in where{};
        where.sin_family = AF_INET;
        where.sin_port = htons(port);
        where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        if (::connect(fd(), reinterpret_cast<const sockaddr*>(&where), sizeof(where)) != 0) fail("connect");
    }

    // Throws if the peer has closed.
    void send(std::string_view bytes) {
        while (!bytes.empty()) {
            const ssize_t n = ::send(fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
            if (n < 0) fail("send");
            bytes.remove_prefix(static_cast<std::size_t>(n));
        }
    }
    // What the kernel takes without waiting, possibly nothing.
    std::size_t send_some(std::string_view bytes) {
        const ssize_t n = ::send(fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno != EAGAIN) fail("send");
        return n < 0 ? 0 : static_cast<std::size_t>(n);
    }

    std::string ask(std::initializer_list<std::string_view> words) {
        send(request(words));
        return read_reply();
    }

    // One whole reply as it came. Throws if the connection ends before.
    std::string read_reply() {
        std::string reply = read_line();
        long parts = 0;
        if (reply.starts_with('*')) parts = std::atol(reply.c_str() + 1);
        if (reply.starts_with('$') && !reply.starts_with("$-")) {
            reply.append(read_exact(static_cast<std::size_t>(std::atoll(reply.c_str() + 1)) + 2));
        }
        for (; parts > 0; --parts) reply.append(read_reply());
        return reply;
    }

    std::string read_exact(std::size_t size) {
        while (received_.size() - at_ < size) {
            if (!read_more()) throw std::runtime_error("the connection ended within a reply");
        }
        std::string bytes = received_.substr(at_, size);
        at_ += size;
        if (at_ == received_.size()) {
            received_.clear();
            at_ = 0;
        }
        return bytes;
    }

    // All that comes until the connection ends, by a close or a reset.
    std::string read_to_end() {
        while (read_more()) {}
        return read_exact(received_.size() - at_);
    }

    // Waits until there is something to read, and leaves it where it is.
    void wait_readable() {
        pollfd wanted{fd(), POLLIN, 0};
        while (::poll(&wanted, 1, -1) < 0) {
            if (errno != EINTR) fail("poll");
        }
    }

    void half_close() { ::shutdown(fd(), SHUT_WR); }
    void close() { socket_.close(); }
    // The peer sees ECONNRESET instead of the end of the stream.
    void reset() {
        const linger at_once{1, 0};
        ::setsockopt(fd(), SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
        close();
    }

private:
    [[nodiscard]] int fd() const noexcept { return socket_.native_handle(); }
    void set(int level, int name, int value) { ::setsockopt(fd(), level, name, &value, sizeof(value)); }
    [[noreturn]] static void fail(const char* what) { throw std::system_error(errno, std::system_category(), what); }

    std::string read_line() {
        std::size_t end = 0;
        while ((end = received_.find("\r\n", at_)) == std::string::npos) {
            if (!read_more()) throw std::runtime_error("the connection ended before a reply");
        }
        return read_exact(end + 2 - at_);
    }

    bool read_more() {
        if (at_ > 0) received_.erase(0, std::exchange(at_, 0));
        std::array<char, 65536> buffer;
        const ssize_t n = ::recv(fd(), buffer.data(), buffer.size(), 0);
        if (n < 0 && errno != ECONNRESET) fail("recv");
        if (n <= 0) return false;
        received_.append(buffer.data(), static_cast<std::size_t>(n));
        return true;
    }

    io::descriptor socket_;
    std::string received_;
    std::size_t at_ = 0;
};

}  // namespace belay::test
