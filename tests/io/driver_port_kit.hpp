// Drives a driver's port without an executor: an operation whose record is claimed, as if a stopper held it, so that its
// end queues nothing and shows in the record's slot.
#pragma once

#include <belay/runtime/driver.hpp>

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <thread>

namespace belay::testing {

using namespace std::chrono_literals;
using detail::driver_port;

class idle_record final : public detail::record {
public:
    idle_record() : record{*reinterpret_cast<detail::runtime_core*>(&nothing), node(), {}} {}
    detail::record* on_done(detail::outcome) noexcept override { return nullptr; }

private:
    static detail::stop_node& node() {
        static detail::stop_node never_stopped;
        return never_stopped;
    }
    alignas(64) static inline std::byte nothing[64]{};
};

class test_op final : public detail::io_operation {
public:
    explicit test_op(const io_request& what_to_do) {
        request = what_to_do;
        suspend_on(record_);
        record_.slot.fetch_or(detail::record::claimed_bit, std::memory_order_relaxed);
    }
    /// The driver has let go of it; `result` may be read, the operation destroyed.
    [[nodiscard]] bool ended() const noexcept {
        return record_.slot.load(std::memory_order_acquire) == detail::record::completed;
    }

private:
    idle_record record_;
};

inline std::int64_t in(std::chrono::nanoseconds time) {
    return std::chrono::nanoseconds((std::chrono::steady_clock::now() + time).time_since_epoch()).count();
}

/// Turns the port until it holds; false after a minute.
template <class Predicate>
bool drive_until(driver_port& port, Predicate holds) {
    auto limit = in(60s);
    while (!holds()) {
        if (in(0s) > limit) return false;
        port.wait(in(1ms));
    }
    return true;
}
/// Looks on; false after a minute.
template <class Predicate>
bool yield_until(Predicate holds) {
    auto limit = in(60s);
    while (!holds()) {
        if (in(0s) > limit) return false;
        std::this_thread::yield();
    }
    return true;
}
inline std::int32_t run(driver_port& port, test_op& op) {
    port.submit(op);
    EXPECT_TRUE(drive_until(port, [&] { return op.ended(); }));
    return op.result;
}

/// Repeats `body` on a second thread until destroyed.
class loop {
public:
    explicit loop(std::function<void()> body)
        : thread_{[this, body = std::move(body)] {
              while (!end_.load(std::memory_order_relaxed)) body();
          }} {}
    ~loop() { end_.store(true), thread_.join(); }

private:
    std::atomic<bool> end_{false};
    std::thread thread_;
};

struct socket_pair {
    int a = -1;
    int b = -1;
    explicit socket_pair(int type = SOCK_STREAM) {
        int both[2];
        if (::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, both) == 0) a = both[0], b = both[1];
    }
    socket_pair(const socket_pair&) = delete;
    socket_pair& operator=(const socket_pair&) = delete;
    ~socket_pair() { ::close(a), ::close(b); }
};

struct tcp_listener_fd {
    int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    tcp_listener_fd() {
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t length = sizeof address;
        EXPECT_EQ(::bind(fd, generic(), length), 0);
        EXPECT_EQ(::listen(fd, 64), 0);
        EXPECT_EQ(::getsockname(fd, generic(), &length), 0);
    }
    tcp_listener_fd(const tcp_listener_fd&) = delete;
    tcp_listener_fd& operator=(const tcp_listener_fd&) = delete;
    ~tcp_listener_fd() { ::close(fd); }
    sockaddr* generic() { return reinterpret_cast<sockaddr*>(&address); }
};

inline io_request recv(int fd, void* buffer, std::size_t length, bool expect_ready = true) {
    return {.opcode = io_opcode::recv, .fd = fd, .buffer = buffer, .length = length, .expect_ready = expect_ready};
}
inline io_request send(int fd, const void* buffer, std::size_t length) {
    return {.opcode = io_opcode::send, .fd = fd, .buffer = const_cast<void*>(buffer), .length = length};
}
inline io_request read(int fd, void* buffer, std::size_t length, std::int64_t offset = -1) {
    return {.opcode = io_opcode::read, .fd = fd, .buffer = buffer, .length = length, .offset = offset};
}
inline io_request write(int fd, const void* buffer, std::size_t length, std::int64_t offset = -1) {
    return {.opcode = io_opcode::write, .fd = fd, .buffer = const_cast<void*>(buffer), .length = length, .offset = offset};
}
inline io_request poll(int fd, int events) { return {.opcode = io_opcode::poll, .fd = fd, .flags = events}; }
inline io_request accept(int fd) { return {.opcode = io_opcode::accept, .fd = fd, .flags = SOCK_CLOEXEC}; }
inline io_request connect(int fd, sockaddr* address, std::size_t length) {
    return {.opcode = io_opcode::connect, .fd = fd, .address = address, .connect_length = static_cast<socklen_t>(length)};
}

}  // namespace belay::testing
