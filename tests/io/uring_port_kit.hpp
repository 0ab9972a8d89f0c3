// Drives a uring_port without an executor: an operation whose record is claimed, as if a stopper held it, so that its end
// queues nothing and shows in the record's slot.
#pragma once

#include <belay/io/uring/uring_driver.hpp>
#include <belay/io/uring/uring_port.hpp>
#include <belay/runtime/driver.hpp>

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstring>
#include <functional>
#include <memory>
#include <thread>

namespace belay::testing {

using namespace std::chrono_literals;
using detail::io_operation;
using detail::uring_port;

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

class test_op final : public io_operation {
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

inline std::unique_ptr<uring_port> unbound_port() {
    return std::make_unique<uring_port>(std::make_unique<detail::uring::ring>(uring_port::sq_entries, uring_port::cq_entries));
}
/// Bound to the calling thread.
inline std::unique_ptr<uring_port> make_port() {
    auto port = unbound_port();
    port->bind_owner();
    return port;
}

/// Waits in the port until it holds; false after a minute.
template <class Predicate>
bool drive_until(uring_port& port, Predicate holds) {
    auto limit = in(60s);
    while (!holds()) {
        if (in(0s) > limit) return false;
        port.wait(in(1s));
    }
    return true;
}
/// Without a system call: an owner that is stuck in a task.
template <class Predicate>
bool spin_until(Predicate holds) {
    auto limit = in(60s);
    while (!holds())
        if (in(0s) > limit) return false;
    return true;
}
template <class Predicate>
bool yield_until(Predicate holds) {
    return spin_until([&] { return holds() || (std::this_thread::yield(), false); });
}
inline std::int32_t run(uring_port& port, test_op& op) {
    port.submit(op);
    EXPECT_TRUE(drive_until(port, [&] { return op.ended(); }));
    return op.result;
}

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

inline io_request nop() { return {}; }
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

}  // namespace belay::testing
