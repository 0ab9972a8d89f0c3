// The Asio driver's port, one thread at a time: stops, registrations, waiting and waking, limits.
#include "driver_port_kit.hpp"

#include <belay/io/asio_driver/asio_driver.hpp>

#include <poll.h>
#include <sys/resource.h>

#include <cerrno>
#include <memory>
#include <string>
#include <system_error>

namespace belay::testing {
namespace {

class AsioTurns : public ::testing::Test {
protected:
    std::unique_ptr<driver> driver_ = detail::make_asio_driver({});
    std::unique_ptr<driver_port> port = bound(0);

    std::unique_ptr<driver_port> bound(unsigned worker) {
        auto made = driver_->make_port(worker);
        made->bind_owner();
        return made;
    }
};

TEST_F(AsioTurns, ACancelledReceiveEndsOnceAndTakesNothing) {
    socket_pair pair;
    char byte = 0;
    test_op receive(recv(pair.a, &byte, 1));
    port->submit(receive);
    port->cancel(receive);
    EXPECT_TRUE(receive.ended());
    EXPECT_EQ(receive.result, -ECANCELED);
    port->cancel(receive);  // nothing happens
    ASSERT_EQ(::write(pair.b, "x", 1), 1);
    test_op next(recv(pair.a, &byte, 1));
    EXPECT_EQ(run(*port, next), 1);
    EXPECT_EQ(port->in_flight(), 0u);
}

TEST_F(AsioTurns, ACancelBeforeSubmitIsRemembered) {
    tcp_listener_fd listener;
    test_op accepting(accept(listener.fd));
    port->cancel(accepting);
    EXPECT_EQ(run(*port, accepting), -ECANCELED);
}

TEST_F(AsioTurns, ACancelAfterTheSystemCallDeliversTheResult) {
    socket_pair pair;
    char byte = 0;
    ASSERT_EQ(::write(pair.b, "x", 1), 1);
    test_op receive(recv(pair.a, &byte, 1));
    port->submit(receive);
    port->cancel(receive);
    port->poll();
    EXPECT_EQ(receive.result, 1);
}

TEST_F(AsioTurns, ANumberThatMeansAnotherSocketIsRegisteredAnew) {
    int number = -1;
    for (int i = 0; i < 100; ++i) {
        socket_pair pair;  // closed without a word to the driver
        EXPECT_TRUE(number < 0 || number == pair.a) << pair.a;
        number = pair.a;
        char byte = 0;
        test_op receive(recv(pair.a, &byte, 1, i % 2 == 0));
        port->submit(receive);
        port->poll();
        ASSERT_EQ(::write(pair.b, "x", 1), 1);
        ASSERT_TRUE(drive_until(*port, [&] { return receive.ended(); })) << "round " << i;
    }
}

TEST_F(AsioTurns, ARegistrationFollowsTheWorkerAndStaysWhereSomebodyWaits) {
    auto other = bound(1);
    socket_pair pair;
    char first = 0, second = 0;
    for (auto* owner : {port.get(), other.get(), port.get()}) {
        test_op receive(recv(pair.a, &first, 1));
        owner->submit(receive);
        EXPECT_EQ(owner->in_flight(), 1u);
        ASSERT_EQ(::write(pair.b, "x", 1), 1);
        EXPECT_TRUE(drive_until(*owner, [&] { return receive.ended(); }));
    }
    test_op here(recv(pair.a, &first, 1)), there(recv(pair.a, &second, 1));
    port->submit(here);
    other->submit(there);
    EXPECT_EQ(port->in_flight(), 2u);  // the port that will end them counts them
    EXPECT_EQ(other->in_flight(), 0u);
    other->cancel(there);
    EXPECT_TRUE(there.ended());
    ASSERT_EQ(::write(pair.b, "x", 1), 1);
    EXPECT_TRUE(drive_until(*port, [&] { return here.ended(); }));
    port.reset();  // the registration goes with it
    ASSERT_EQ(::write(pair.b, "x", 1), 1);
    test_op again(recv(pair.a, &first, 1, false));
    EXPECT_EQ(run(*other, again), 1);
}

TEST_F(AsioTurns, AHangUpBesideUnreadDataDoesNotKeepTheReactorBusy) {
    socket_pair pair;
    ASSERT_EQ(::write(pair.b, "x", 1), 1);
    test_op hang_up(poll(pair.a, POLLRDHUP));
    port->submit(hang_up);
    auto before = port->counters.enters.load();
    auto until = in(200ms);
    while (in(0s) < until) port->wait(until);
    EXPECT_LT(port->counters.enters.load() - before, 100u);
    port->cancel(hang_up);
    EXPECT_TRUE(hang_up.ended());
}

TEST_F(AsioTurns, WaitEndsAtItsDeadline) {
    for (auto time : {0us, 100us, 3'000us, 30'000us}) {
        auto deadline = in(time);
        port->wait(deadline);
        auto late = in(0s) - deadline;
        EXPECT_GE(late, 0);
        EXPECT_LT(late, 1'000'000'000);
    }
}

TEST_F(AsioTurns, AWakeEndsTheNextWaitOnce) {
    port->wake();
    port->wake();
    EXPECT_TRUE(port->ready());
    port->wait(detail::no_deadline);
    EXPECT_FALSE(port->ready());
    port->wake();
    port->poll();  // a turn after the wake has done what the wake asked for
    EXPECT_FALSE(port->ready());
    auto deadline = in(2ms);
    port->wait(deadline);
    EXPECT_GE(in(0s), deadline);
    for (int i = 0; i < 1000; ++i) port->wake(), port->wait(detail::no_deadline);
}

TEST_F(AsioTurns, OutOfDescriptorsNamesTheLimit) {
#if defined(__has_feature)
#if __has_feature(undefined_behavior_sanitizer)
    GTEST_SKIP() << "UBSan opens a pipe for its check of virtual tables, and calls them invalid when it cannot";
#endif
#endif
    rlimit before{};
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
    rlimit none{.rlim_cur = 0, .rlim_max = before.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
    std::string message;
    int code = 0;
    try {
        driver_->make_port(7);
    } catch (const std::system_error& error) {
        message = error.what(), code = error.code().value();
    }
    ::setrlimit(RLIMIT_NOFILE, &before);
    EXPECT_EQ(code, EMFILE);
    EXPECT_NE(message.find("RLIMIT_NOFILE"), std::string::npos) << message;
}

}  // namespace
}  // namespace belay::testing
