#include <belay/io/pipe.hpp>

#include <belay/io/error.hpp>
#include <belay/runtime/finally.hpp>
#include <belay/runtime/scope.hpp>
#include <belay/runtime/yield.hpp>
#include <belay/tests/kit/gtest.hpp>

#include <sys/resource.h>
#include <sys/timerfd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <span>

#include "socket_kit.hpp"

namespace belay::testing {
namespace {

using io::make_pipe;

task<std::vector<std::byte>> read_to_end(io::pipe_reader from) {
    std::vector<std::byte> all;
    std::array<std::byte, 700> buffer;
    while (std::size_t n = co_await from.read_some(buffer))
        all.insert(all.end(), buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(n));
    co_return all;
}

task<> write_and_close(io::pipe_writer to, std::vector<std::byte> data) { co_await to.write_all(data); }

BELAY_TEST(Pipe, BytesComeInOrderAndThenTheEnd) {
    auto [out, in] = make_pipe();
    auto sent = pattern(0, 300'000);  // more than a pipe holds
    auto [done, got] = co_await when_all(write_and_close(std::move(in), sent), read_to_end(std::move(out)));
    CO_ASSERT_EQ(got, sent);
}

BELAY_TEST(Pipe, AReadWaitsForAWriter) {
    auto [out, in] = make_pipe();
    std::array<std::byte, 5> got{};
    auto late = [](io::pipe_writer& to) -> task<> {
        co_await yield_times(50);
        co_await to.write_all("hello");
    };
    co_await when_all(out.read_exact(got), late(in));
    EXPECT_EQ(std::string_view(reinterpret_cast<const char*>(got.data()), 5), "hello");
    EXPECT_EQ(co_await out.read_some({}), 0U) << "an empty buffer waits for nothing";
    EXPECT_EQ(co_await in.write_some({}), 0U);
}

BELAY_TEST(Pipe, ReadExactTellsAnEndThatComesTooEarly) {
    auto [out, in] = make_pipe();
    co_await in.write_all("abc");
    in.close();
    std::array<std::byte, 5> got{};
    std::size_t transferred = 0;
    auto [error, text] = co_await error_of(out.read_exact(got, transferred));
    EXPECT_EQ(error, make_error_code(io::errc::end_of_stream)) << text;
    EXPECT_EQ(transferred, 3U);
}

BELAY_TEST(Pipe, AWriterWithoutReadersGetsAnErrorAndNoSignal) {
    auto [out, in] = make_pipe();
    struct sigaction now{};
    ::sigaction(SIGPIPE, nullptr, &now);
    CO_ASSERT_TRUE(now.sa_handler != SIG_DFL) << "SIGPIPE would end the process";
    out.close();
    auto [error, text] = co_await error_of(in.write_all("x"));
    EXPECT_EQ(error.value(), EPIPE);
    EXPECT_TRUE(contains(text, "all readers have closed")) << text;
}

BELAY_TEST(Pipe, AClockThatWasSetIsNoPipeThatWasGivenUp) {
    // A timerfd has ECANCELED for an answer; a read of one is otherwise as that of a pipe.
    io::pipe_reader timer{io::descriptor{::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)}};
    const itimerspec soon{.it_interval = {}, .it_value = {.tv_sec = 0, .tv_nsec = 1'000'000}};
    CO_ASSERT_EQ(::timerfd_settime(timer.native_handle(), 0, &soon, nullptr), 0);
    std::array<std::byte, 8> expirations;
    EXPECT_EQ(co_await timer.read_some(expirations), 8U);
}

BELAY_TEST(Pipe, OperationsOnAClosedEndFail) {
    io::pipe_reader out;
    io::pipe_writer in;
    std::array<std::byte, 1> byte{};
    EXPECT_FALSE(out.is_open());
    EXPECT_EQ((co_await error_of(out.read_exact(byte))).first.value(), EBADF);
    EXPECT_EQ((co_await error_of(in.write_all(byte))).first.value(), EBADF);
}

BELAY_TEST(Pipe, AStoppedReadTookNothing) {
    auto [out, in] = make_pipe();
    int stopped = 0;
    auto send = [](io::pipe_writer to) -> task<> {
        for (int i = 0; i < races; ++i) {
            co_await to.write_all(pattern(static_cast<std::size_t>(3 * i), 3));
            co_await yield_times(i % 7);
        }
        to.close();  // a branch's arguments live until all branches have ended
    };
    auto receive = [](io::pipe_reader from, int& stops) -> task<std::vector<std::byte>> {
        std::vector<std::byte> all;
        std::array<std::byte, 2> buffer;
        for (int round = 0;; ++round) {
            auto won = co_await race(from.read_some(buffer), round);
            const auto n = std::get<0>(won.values);
            if (!n) ++stops;
            if (n && *n == 0) co_return all;
            if (n) all.insert(all.end(), buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(*n));
        }
    };
    auto [done, received] = co_await when_all(send(std::move(in)), receive(std::move(out), stopped));
    CO_ASSERT_EQ(received, pattern(0, 3 * races));
}

BELAY_TEST(Pipe, AStoppedWriteAllSaysHowMuchItWrote) {
    auto [out, in] = make_pipe();
    auto send = [](io::pipe_writer to) -> task<std::size_t> {
        std::size_t position = 0;
        for (int round = 0; round < races; ++round) {
            const auto data = pattern(position, 20'000);
            std::size_t transferred = 0;
            co_await race(to.write_all(data, transferred), round);
            position += transferred;
        }
        to.close();
        co_return position;
    };
    auto [sent, received] = co_await when_all(send(std::move(in)), read_to_end(std::move(out)));
    CO_ASSERT_EQ(received.size(), sent);
    for (std::size_t at = 0; at < sent;) {  // megabytes: in pieces, which hold no worker for long
        const auto expected = pattern(at, std::min<std::size_t>(20'000, sent - at));
        CO_ASSERT_TRUE(std::memcmp(received.data() + at, expected.data(), expected.size()) == 0) << "after " << at << " bytes";
        at += expected.size();
        co_await yield();
    }
}

BELAY_TEST(Pipe, WhatIsStoppedBeforeItBeginsHasTransferredNothing) {
    auto [out, in] = make_pipe();
    std::array<std::byte, 3> bytes{};
    std::size_t written = 3;  // by an earlier call
    std::size_t read = 3;
    auto nothing = []() -> task<> { co_return; };
    co_await with_scope([&, &to = in](scope& s) -> task<> {
        s.request_stop();
        co_await finally(to.write_all(bytes, written), nothing);  // only the cleanup runs
    });
    co_await with_scope([&, &from = out](scope& s) -> task<> {
        s.request_stop();
        co_await finally(from.read_exact(bytes, read), nothing);
    });
    EXPECT_EQ(written, 0U);
    EXPECT_EQ(read, 0U);
}

TEST(MakePipe, SaysThatThereAreNoDescriptors) {
    rlimit before{};
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
    rlimit none = before;
    none.rlim_cur = 0;
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
    int error = 0;
    try {
        auto ends = make_pipe();
    } catch (const std::system_error& e) {
        error = e.code().value();
    }
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
    EXPECT_EQ(error, EMFILE);
}

}  // namespace
}  // namespace belay::testing
