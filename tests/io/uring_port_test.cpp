#include "uring_port_kit.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/uio.h>

#include <deque>

namespace belay::testing {
namespace {

TEST(UringPort, EchoesThroughASocketPair) {
    auto port = make_port();
    socket_pair pair;
    std::array<char, 16> got{};
    test_op receive(recv(pair.b, got.data(), got.size()));
    test_op transmit(send(pair.a, "hello", 5));
    port->submit(receive);
    EXPECT_EQ(run(*port, transmit), 5);
    EXPECT_TRUE(drive_until(*port, [&] { return receive.ended(); }));
    EXPECT_EQ(receive.result, 5);
    EXPECT_EQ(std::string_view(got.data(), 5), "hello");
    EXPECT_EQ(port->in_flight(), 0u);
    EXPECT_EQ(port->counters.completed.load(), 2u);
    EXPECT_EQ(port->counters.completed_by_opcode[static_cast<std::size_t>(io_opcode::recv)].load(), 1u);
}

TEST(UringPort, AReceiveThatExpectsNothingWaitsForData) {
    auto port = make_port();
    socket_pair pair;
    char got = 0;
    test_op receive(recv(pair.b, &got, 1, false));
    port->submit(receive);
    port->poll();
    EXPECT_EQ(port->in_flight(), 1u);
    ASSERT_EQ(::write(pair.a, "x", 1), 1);
    EXPECT_TRUE(drive_until(*port, [&] { return receive.ended(); }));
    EXPECT_EQ(receive.result, 1);
}

TEST(UringPort, ASendToAClosedPeerIsAnErrorAndNoSignal) {
    auto port = make_port();
    socket_pair pair;
    ::shutdown(pair.b, SHUT_RD);
    test_op transmit(send(pair.a, "x", 1));
    EXPECT_EQ(run(*port, transmit), -EPIPE);
}

TEST(UringPort, ConnectsAndAccepts) {
    auto port = make_port();
    int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    ASSERT_EQ(::bind(listener, reinterpret_cast<sockaddr*>(&address), length), 0);
    ASSERT_EQ(::listen(listener, 1), 0);
    ASSERT_EQ(::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length), 0);

    sockaddr_in peer{};
    socklen_t peer_length = sizeof peer;
    test_op accept({.opcode = io_opcode::accept,
                    .fd = listener,
                    .flags = SOCK_CLOEXEC,
                    .address = reinterpret_cast<sockaddr*>(&peer),
                    .address_length = &peer_length});
    int client = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    test_op connect(
        {.opcode = io_opcode::connect, .fd = client, .address = reinterpret_cast<sockaddr*>(&address), .connect_length = length});
    port->submit(accept);
    EXPECT_EQ(run(*port, connect), 0);
    EXPECT_TRUE(drive_until(*port, [&] { return accept.ended(); }));
    EXPECT_GE(accept.result, 0);
    EXPECT_EQ(peer.sin_family, AF_INET);
    ::close(accept.result), ::close(client), ::close(listener);
}

TEST(UringPort, SendsAndReceivesMessages) {
    auto port = make_port();
    socket_pair pair(SOCK_DGRAM);
    char out[] = "ab", back[4] = {};
    iovec out_vector{out, 2}, in_vector{back, 4};
    msghdr out_message{}, in_message{};
    out_message.msg_iov = &out_vector, out_message.msg_iovlen = 1;
    in_message.msg_iov = &in_vector, in_message.msg_iovlen = 1;
    test_op receive({.opcode = io_opcode::recvmsg, .fd = pair.b, .message = &in_message});
    test_op transmit({.opcode = io_opcode::sendmsg, .fd = pair.a, .message = &out_message});
    port->submit(receive);
    EXPECT_EQ(run(*port, transmit), 2);
    EXPECT_TRUE(drive_until(*port, [&] { return receive.ended(); }));
    EXPECT_EQ(std::string_view(back, 2), "ab");
}

TEST(UringPort, ReadsAndWritesAFileAtOffsets) {
    auto port = make_port();
    int file = ::open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    ASSERT_GE(file, 0);
    char got[3] = {};
    test_op put(write(file, "012345", 6, 0)), get(read(file, got, 3, 2));
    EXPECT_EQ(run(*port, put), 6);
    EXPECT_EQ(run(*port, get), 3);
    EXPECT_EQ(std::string_view(got, 3), "234");
    ::close(file);
}

TEST(UringPort, PollReportsTheEvents) {
    auto port = make_port();
    socket_pair pair;
    test_op readable({.opcode = io_opcode::poll, .fd = pair.a, .flags = POLLIN});
    port->submit(readable);
    ASSERT_EQ(::write(pair.b, "x", 1), 1);
    EXPECT_TRUE(drive_until(*port, [&] { return readable.ended(); }));
    EXPECT_EQ(readable.result & POLLIN, POLLIN);
}

TEST(UringPort, AReadOfANonBlockingFileWaitsInsteadOfFailing) {
    auto port = make_port();
    int watch = ::inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    int file = ::open("/tmp/uring_port_test.watched", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    ASSERT_GE(::inotify_add_watch(watch, "/tmp/uring_port_test.watched", IN_MODIFY), 0);
    alignas(inotify_event) char event[256];
    test_op get(read(watch, event, sizeof event));
    port->submit(get);
    for (int i = 0; i < 4; ++i) port->wait(in(1ms));
    EXPECT_FALSE(get.ended());
    ASSERT_EQ(::write(file, "x", 1), 1);
    EXPECT_TRUE(drive_until(*port, [&] { return get.ended(); }));
    EXPECT_EQ(get.result, static_cast<int>(sizeof(inotify_event)));

    test_op stopped(read(watch, event, sizeof event));
    port->submit(stopped);
    port->wait(in(1ms));
    port->cancel(stopped);
    EXPECT_TRUE(drive_until(*port, [&] { return stopped.ended(); }));
    EXPECT_EQ(stopped.result, -ECANCELED);
    ::close(watch), ::close(file), ::unlink("/tmp/uring_port_test.watched");
}

TEST(UringPort, WaitEndsAtItsDeadline) {
    auto port = make_port();
    port->wait(in(1ms));  // swallows what arming the wake may have left
    auto deadline = in(20ms);
    port->wait(deadline);
    EXPECT_GE(in(0ms), deadline);
    port->wait(in(-1s));
}

TEST(UringPort, AWakeBeforeWaitIsNotLost) {
    auto port = make_port();
    EXPECT_FALSE(port->ready());
    port->wake();
    EXPECT_TRUE(port->ready());
    auto begin = in(0s);
    port->wait(begin + 30'000'000'000);
    EXPECT_LT(in(0s) - begin, 10'000'000'000);
    EXPECT_FALSE(port->ready());
}

TEST(UringPort, PollConsumesAWakeSoThatTheOwnerCanStopSpinning) {
    auto port = make_port();
    port->wake();
    port->poll();
    EXPECT_FALSE(port->ready());
    auto deadline = in(20ms);
    while (in(0s) < deadline) port->wait(deadline);
    port->wake();
    EXPECT_TRUE(port->ready());
}

TEST(UringPort, CompletesMoreSubmissionsThanTheQueuesHold) {
    auto port = make_port();
    std::deque<test_op> ops;
    for (int i = 0; i < 6000; ++i) port->submit(ops.emplace_back(nop()));  // SQ 256, CQ 4096
    EXPECT_EQ(port->in_flight(), 6000u);
    EXPECT_TRUE(drive_until(*port, [&] { return port->in_flight() == 0; }));
    for (auto& op : ops) EXPECT_TRUE(op.ended());
    EXPECT_GE(port->counters.overflows.load(), 1u);
    // The overflow may have ended the multishot poll behind wake(): it must have been armed again.
    for (int i = 0; i < 100; ++i) {
        std::thread waker([&] { port->wake(); });
        auto begin = in(0s);
        port->wait(begin + 30'000'000'000);
        EXPECT_LT(in(0s) - begin, 10'000'000'000);
        waker.join();
    }
}

TEST(UringPort, ATurnCompletesABoundedNumber) {
    auto port = make_port();
    std::deque<test_op> ops;
    for (int i = 0; i < 1000; ++i) port->submit(ops.emplace_back(nop()));
    port->poll();
    EXPECT_GE(port->in_flight(), 700u);
    EXPECT_TRUE(port->ready());
    EXPECT_TRUE(drive_until(*port, [&] { return port->in_flight() == 0; }));
}

TEST(UringPort, CancelEndsEveryOperationThatWaits) {
    auto port = make_port();
    constexpr int count = 3000;  // more than entries for their cancels
    socket_pair pair(SOCK_DGRAM);
    std::deque<test_op> ops;
    std::array<char, 8> buffer;
    for (int i = 0; i < count; ++i) port->submit(ops.emplace_back(recv(pair.a, buffer.data(), buffer.size(), i % 2 == 0)));
    port->poll();
    for (auto& op : ops) port->cancel(op);
    EXPECT_TRUE(drive_until(*port, [&] { return port->in_flight() == 0; }));
    for (auto& op : ops) EXPECT_EQ(op.result, -ECANCELED);
    port->cancel(ops.front());  // after the end: nothing happens
    port->poll();
}

TEST(UringPort, CancelMayComeBeforeSubmit) {
    auto port = make_port();
    socket_pair pair;
    char byte = 0;
    for (int i = 0; i < 100; ++i) {
        test_op receive(recv(pair.a, &byte, 1));
        std::thread([&] { port->cancel(receive); }).join();
        EXPECT_EQ(run(*port, receive), -ECANCELED);
    }
}

}  // namespace
}  // namespace belay::testing
