// What the tests of sockets share: connected pairs, counted descriptors, recognisable bytes.
#pragma once

#include <belay/io/tcp_listener.hpp>
#include <belay/io/tcp_stream.hpp>
#include <belay/runtime/runtime.hpp>
#include <belay/runtime/when_all.hpp>
#include <belay/runtime/when_any.hpp>
#include <belay/runtime/yield.hpp>

#include <gtest/gtest.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstddef>
#include <filesystem>
#include <iterator>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace belay::testing {

/// Runs a task, or a callable that returns one, on a runtime of its own.
template <class F>
auto run(F&& program) {
    runtime rt{{.workers = 2}};
    return rt.block_on(std::forward<F>(program));
}

/// Two ends of a TCP connection through the loopback interface.
inline task<std::pair<io::tcp_stream, io::tcp_stream>> tcp_pair() {
    auto listener = io::tcp_listener::bind("127.0.0.1:0");
    auto [accepted, connected] = co_await when_all(listener.accept(), io::tcp_stream::connect(listener.local()));
    co_return std::pair{std::move(accepted), std::move(connected)};
}

inline task<> yield_times(int n) {
    for (int i = 0; i < n; ++i) co_await yield();
}

/// How often the tests race a stop against a result.
inline constexpr int races = 1000;

/// Awaits `work` against a rival that ends after a number of turns that differs from race to race.
template <class Work>
auto race(Work work, int round) {
    return when_any(std::move(work), yield_times(round % 13));
}

/// Not every container has an /etc/hosts.
inline bool knows_localhost() {
    const addrinfo any{};
    addrinfo* found = nullptr;
    if (::getaddrinfo("localhost", nullptr, &any, &found) != 0) return false;
    ::freeaddrinfo(found);
    return true;
}

/// Open descriptors of this process.
inline std::size_t open_descriptors() {
    namespace fs = std::filesystem;
    return static_cast<std::size_t>(std::distance(fs::directory_iterator{"/proc/self/fd"}, fs::directory_iterator{}));
}

/// close() of this socket resets the connection.
inline void reset_on_close(const io::tcp_stream& stream) {
    const linger hard{.l_onoff = 1, .l_linger = 0};
    ASSERT_EQ(::setsockopt(stream.native_handle(), SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)), 0);
}

/// `count` bytes that differ from their neighbours, starting at `position` of an endless sequence.
inline std::vector<std::byte> pattern(std::size_t position, std::size_t count) {
    std::vector<std::byte> bytes(count);
    for (std::size_t i = 0; i < count; ++i) bytes[i] = static_cast<std::byte>(((position + i) * 2654435761U) >> 13);
    return bytes;
}

inline bool contains(std::string_view text, std::string_view part) { return text.find(part) != text.npos; }

/// The error that a task ends with.
inline task<std::pair<std::error_code, std::string>> error_of(task<> work) {
    try {
        co_await std::move(work);
    } catch (const std::system_error& error) {
        co_return std::pair{error.code(), std::string{error.what()}};
    }
    co_return std::pair{std::error_code{}, std::string{"no error"}};
}

}  // namespace belay::testing
