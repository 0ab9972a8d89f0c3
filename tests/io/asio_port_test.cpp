// What the Asio driver makes of each operation.
#include "driver_port_kit.hpp"

#include <belay/io/asio_driver/asio_driver.hpp>

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/un.h>

#include <cstdio>
#include <string_view>
#include <vector>

namespace belay::testing {
namespace {

class AsioPort : public ::testing::Test {
protected:
    std::unique_ptr<driver> driver_ = detail::make_asio_driver({});
    std::unique_ptr<driver_port> port = bound(0);

    std::unique_ptr<driver_port> bound(unsigned worker) {
        auto made = driver_->make_port(worker);
        made->bind_owner();
        return made;
    }
};

TEST_F(AsioPort, EchoesThroughASocketPair) {
    socket_pair pair;
    std::array<char, 16> got{};
    test_op receive(recv(pair.b, got.data(), got.size()));
    test_op transmit(send(pair.a, "hello", 5));
    port->submit(receive);
    EXPECT_EQ(port->in_flight(), 1u);
    EXPECT_EQ(run(*port, transmit), 5);
    EXPECT_TRUE(drive_until(*port, [&] { return receive.ended(); }));
    EXPECT_EQ(receive.result, 5);
    EXPECT_FALSE(receive.socket_nonempty);
    EXPECT_EQ(std::string_view(got.data(), 5), "hello");
    EXPECT_EQ(port->in_flight(), 0u);
    EXPECT_EQ(port->counters.submitted.load(), 2u);
    EXPECT_EQ(port->counters.completed.load(), 2u);
    EXPECT_EQ(port->counters.completed_by_opcode[static_cast<std::size_t>(io_opcode::recv)].load(), 1u);
}

TEST_F(AsioPort, NothingEndsInsideSubmit) {
    socket_pair pair;
    test_op nothing({}), bad(read(-1, nullptr, 0)), closed(read(1'000'000, nullptr, 0)), transmit(send(pair.a, "x", 1));
    for (auto* op : {&nothing, &bad, &closed, &transmit}) port->submit(*op);
    for (auto* op : {&nothing, &bad, &closed, &transmit}) EXPECT_FALSE(op->ended());
    EXPECT_TRUE(port->ready());
    port->poll();
    for (auto* op : {&nothing, &bad, &closed, &transmit}) EXPECT_TRUE(op->ended());
    EXPECT_EQ(nothing.result, 0);
    EXPECT_EQ(bad.result, -EBADF);
    EXPECT_EQ(closed.result, -EBADF);
    EXPECT_EQ(transmit.result, 1);
    EXPECT_FALSE(port->ready());
}

TEST_F(AsioPort, AReceiveThatExpectsNothingFindsWhatIsThereAlready) {
    socket_pair pair;
    for (int i = 0; i < 3; ++i) {
        char got = 0;
        ASSERT_EQ(::write(pair.a, "x", 1), 1);
        test_op receive(recv(pair.b, &got, 1, false));
        EXPECT_EQ(run(*port, receive), 1);
    }
}

TEST_F(AsioPort, ASendToAClosedPeerIsAnErrorAndNoSignal) {
    socket_pair pair;
    ::shutdown(pair.b, SHUT_RD);
    test_op transmit(send(pair.a, "x", 1));
    EXPECT_EQ(run(*port, transmit), -EPIPE);
}

TEST_F(AsioPort, ConnectsAcceptsAndLeavesTheClientBlocking) {
    tcp_listener_fd listener;
    int client = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    test_op accepting(accept(listener.fd)), connecting(connect(client, listener.generic(), sizeof listener.address));
    port->submit(accepting);
    EXPECT_EQ(run(*port, connecting), 0);
    EXPECT_TRUE(drive_until(*port, [&] { return accepting.ended(); }));
    EXPECT_GE(accepting.result, 0);
    char byte = 0;
    test_op receive(recv(client, &byte, 1));
    port->submit(receive);
    EXPECT_EQ(::fcntl(client, F_GETFL) & O_NONBLOCK, 0);
    EXPECT_EQ(::write(accepting.result, "x", 1), 1);
    EXPECT_TRUE(drive_until(*port, [&] { return receive.ended(); }));
    ::close(accepting.result), ::close(client);
}

TEST_F(AsioPort, AConnectThatIsRefusedSaysSo) {
    sockaddr_in nobody = tcp_listener_fd{}.address;  // closed again
    int client = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    test_op connecting(connect(client, reinterpret_cast<sockaddr*>(&nobody), sizeof nobody));
    EXPECT_EQ(run(*port, connecting), -ECONNREFUSED);
    ::close(client);
}

TEST_F(AsioPort, AConnectToAFullUnixBacklogWaitsForRoom) {
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    std::snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "belay-asio-port-%d", ::getpid());
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    int listener = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ASSERT_EQ(::bind(listener, generic, sizeof address), 0);
    ASSERT_EQ(::listen(listener, 0), 0);
    std::vector<int> clients;
    std::vector<std::unique_ptr<test_op>> attempts;
    for (int i = 0; i < 4; ++i) {
        clients.push_back(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        attempts.push_back(std::make_unique<test_op>(connect(clients.back(), generic, sizeof address)));
        port->submit(*attempts.back());
    }
    port->poll();
    EXPECT_GT(port->in_flight(), 0u);
    for (std::size_t i = 0; i < clients.size(); ++i) {
        test_op accepting(accept(listener));
        EXPECT_GE(run(*port, accepting), 0);
        ::close(accepting.result);
    }
    EXPECT_TRUE(drive_until(*port, [&] { return port->in_flight() == 0; }));
    for (auto& attempt : attempts) EXPECT_EQ(attempt->result, 0);
    for (int fd : clients) ::close(fd);
    ::close(listener);
}

TEST_F(AsioPort, SendsAndReceivesMessages) {
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

TEST_F(AsioPort, ASendWaitsForRoomAndThenSendsWhatFits) {
    socket_pair pair;
    std::vector<char> much(1 << 22);
    test_op first(send(pair.a, much.data(), much.size())), second(send(pair.a, much.data(), much.size()));
    EXPECT_GT(run(*port, first), 0);
    EXPECT_LT(first.result, 1 << 22);
    port->submit(second);
    port->wait(in(1ms));
    EXPECT_FALSE(second.ended());
    ASSERT_GT(::read(pair.b, much.data(), much.size()), 0);
    EXPECT_TRUE(drive_until(*port, [&] { return second.ended(); }));
    EXPECT_GT(second.result, 0);
}

TEST_F(AsioPort, ReadsAndWritesAFileAtOffsetsAndInPlace) {
    int file = ::open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    ASSERT_GE(file, 0);
    char got[3] = {};
    test_op put(write(file, "012345", 6, 0)), get(read(file, got, 3, 2)), ready(poll(file, POLLIN)), end(read(file, got, 3, 6));
    EXPECT_EQ(run(*port, put), 6);
    EXPECT_EQ(run(*port, get), 3);
    EXPECT_EQ(std::string_view(got, 3), "234");
    EXPECT_EQ(run(*port, ready), POLLIN);
    EXPECT_EQ(run(*port, end), 0);
    ::close(file);
}

TEST_F(AsioPort, ReadsAPipeAndAnEventThatBlockWithoutMakingThemNonBlocking) {
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    int event = ::eventfd(0, EFD_CLOEXEC);
    char byte = 0;
    std::uint64_t count = 0;
    test_op from_pipe(read(ends[0], &byte, 1)), from_event(read(event, &count, sizeof count));
    port->submit(from_pipe), port->submit(from_event);
    port->poll();
    EXPECT_FALSE(from_pipe.ended() || from_event.ended());
    EXPECT_EQ(::fcntl(ends[0], F_GETFL) & O_NONBLOCK, 0);
    test_op put(write(ends[1], "x", 1));
    EXPECT_EQ(run(*port, put), 1);
    ASSERT_EQ(::eventfd_write(event, 7), 0);
    EXPECT_TRUE(drive_until(*port, [&] { return from_pipe.ended() && from_event.ended(); }));
    EXPECT_EQ(from_pipe.result, 1);
    EXPECT_EQ(from_event.result, 8);
    EXPECT_EQ(count, 7u);

    std::vector<char> much(1 << 20);
    test_op fill(write(ends[1], much.data(), much.size())), blocked(write(ends[1], much.data(), much.size()));
    EXPECT_GT(run(*port, fill), 0);
    port->submit(blocked);
    port->poll();
    port->cancel(blocked);
    EXPECT_TRUE(drive_until(*port, [&] { return blocked.ended(); }) && (blocked.result > 0 || blocked.result == -ECANCELED));
    ::close(ends[0]), ::close(ends[1]), ::close(event);
}

TEST_F(AsioPort, PollReportsTheEventsAndTheHangUp) {
    socket_pair pair;
    test_op readable(poll(pair.a, POLLIN)), hang_up(poll(pair.a, POLLRDHUP)), invalid(poll(1'000'000, POLLIN));
    port->submit(readable), port->submit(hang_up);
    port->poll();
    EXPECT_EQ(port->in_flight(), 2u);
    ASSERT_EQ(::write(pair.b, "x", 1), 1);
    EXPECT_TRUE(drive_until(*port, [&] { return readable.ended(); }));
    EXPECT_EQ(readable.result, POLLIN);
    for (int i = 0; i < 30; ++i) port->wait(in(1ms));
    EXPECT_FALSE(hang_up.ended());  // there is something to read, but nobody hung up
    ::shutdown(pair.b, SHUT_WR);
    EXPECT_TRUE(drive_until(*port, [&] { return hang_up.ended(); }));
    EXPECT_EQ(hang_up.result & POLLRDHUP, POLLRDHUP);
    EXPECT_EQ(run(*port, invalid), -EBADF);
}

TEST_F(AsioPort, BothDirectionsOfASocketWaitAtOnce) {
    socket_pair pair;
    std::vector<char> much(1 << 22);
    test_op fill(send(pair.a, much.data(), much.size()));
    EXPECT_GT(run(*port, fill), 0);
    char byte = 0;
    test_op receive(recv(pair.a, &byte, 1)), transmit(send(pair.a, "x", 1)), both(poll(pair.a, POLLIN | POLLPRI));
    port->submit(receive), port->submit(transmit), port->submit(both);
    ASSERT_EQ(::send(pair.b, "x", 1, 0), 1);
    EXPECT_TRUE(drive_until(*port, [&] { return receive.ended(); }));
    EXPECT_FALSE(transmit.ended());
    ASSERT_GT(::read(pair.b, much.data(), much.size()), 0);
    EXPECT_TRUE(drive_until(*port, [&] { return transmit.ended(); }));
    port->cancel(both);
    EXPECT_TRUE(drive_until(*port, [&] { return both.ended(); }));
}

}  // namespace
}  // namespace belay::testing
