// One thread over poll(2) that answers HTTP requests. Everything is bounded: connections, the size of a request, and the time
// that a client may take; a slow or silent client costs a place for that long and stops nobody.
#pragma once

#include <belay/observability/impl/http_message.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace belay::detail {

/// Owns a descriptor.
class unique_fd {
public:
    unique_fd() = default;
    explicit unique_fd(int fd) noexcept : fd_{fd} {}
    unique_fd(unique_fd&& other) noexcept;
    unique_fd& operator=(unique_fd&& other) noexcept;
    ~unique_fd();
    [[nodiscard]] int get() const noexcept { return fd_; }

private:
    int fd_ = -1;
};

class http_server {
public:
    static constexpr std::size_t most_connections = 32;
    static constexpr std::size_t largest_request = 8192;
    static constexpr std::chrono::seconds patience{5};  // for a request to arrive, and for its answer to be taken

    using handler = std::function<http_response(const http_request&)>;

    /// Listens and starts the thread. Throws as serve_debug_endpoint().
    http_server(std::string_view address, handler answer);
    http_server(const http_server&) = delete;
    http_server& operator=(const http_server&) = delete;
    ~http_server();

    [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
    [[nodiscard]] const std::string& address() const noexcept { return address_; }

private:
    using clock = std::chrono::steady_clock;
    struct connection {
        unique_fd socket;
        clock::time_point deadline;
        std::string received;
        std::string answer;      // empty until the request is complete
        std::size_t sent = 0;
        bool over = false;
    };

    void run() noexcept;
    void accept_one();
    void serve(connection& c, short events);
    void receive(connection& c);
    void send(connection& c);
    void close_late(clock::time_point now) noexcept;
    [[nodiscard]] int poll_timeout(clock::time_point now) const noexcept;

    handler answer_;
    unique_fd listener_;
    unique_fd stop_;  // eventfd
    std::string address_;
    std::uint16_t port_ = 0;
    std::vector<connection> connections_;
    clock::time_point accept_again_{};  // after the system had no descriptor left
    std::thread thread_;
};

}  // namespace belay::detail
