// The smallest client that a test of an HTTP server needs: blocking, over the loopback.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace belay::test {

class http_client {
public:
    explicit http_client(std::uint16_t port) : socket_{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)} {
        sockaddr_in to{};
        to.sin_family = AF_INET;
        to.sin_port = htons(port);
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        connected_ = ::connect(socket_, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0;
    }
    http_client(const http_client&) = delete;
    http_client& operator=(const http_client&) = delete;
    ~http_client() { ::close(socket_); }

    [[nodiscard]] bool connected() const noexcept { return connected_; }
    void send(std::string_view bytes) const { (void)!::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL); }
    /// All until the server closes.
    [[nodiscard]] std::string receive() const {
        std::string result;
        std::array<char, 4096> bytes{};
        for (;;) {
            auto n = ::recv(socket_, bytes.data(), bytes.size(), 0);
            if (n <= 0) return result;
            result.append(bytes.data(), static_cast<std::size_t>(n));
        }
    }

private:
    int socket_;
    bool connected_ = false;
};

inline std::string http_get(std::uint16_t port, std::string_view path) {
    http_client client{port};
    client.send("GET " + std::string{path} + " HTTP/1.1\r\nHost: localhost\r\n\r\n");
    return client.receive();
}

}  // namespace belay::test
