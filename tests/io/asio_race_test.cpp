// The Asio driver's port while its owner, rescuers, cancellers and other ports act at the same time. Operations live on the
// heap and are freed as soon as they have ended, so that AddressSanitizer sees a driver that still uses them.
#include "driver_port_kit.hpp"

#include <belay/io/asio_driver/asio_driver.hpp>

#include <algorithm>
#include <mutex>
#include <random>
#include <vector>

namespace belay::testing {
namespace {

std::unique_ptr<driver_port> bound_port(driver& from, unsigned worker = 0) {
    auto port = from.make_port(worker);
    port->bind_owner();
    return port;
}

class AsioRace : public ::testing::Test {
protected:
    std::unique_ptr<driver> driver_ = detail::make_asio_driver({});
    std::unique_ptr<driver_port> port = bound_port(*driver_);
};

TEST_F(AsioRace, ANeighbourEndsWhatAStuckOwnerHasTried) {
    socket_pair pair;
    test_op transmit(send(pair.a, "x", 1));
    port->submit(transmit);
    loop rescuer([&] { port->rescue(); });
    EXPECT_TRUE(yield_until([&] { return transmit.ended(); }));
}

TEST_F(AsioRace, ANeighbourEndsWhatBecomesReadyWhileTheOwnerIsStuck) {
    socket_pair pair;
    for (int i = 0; i < 500; ++i) {
        char byte = 0;
        test_op receive(recv(pair.a, &byte, 1, false));
        port->submit(receive);
        std::thread neighbour([&] {
            EXPECT_EQ(::write(pair.b, "x", 1), 1);
            EXPECT_TRUE(yield_until([&] { return port->rescue(); }));
            EXPECT_TRUE(receive.ended());
        });
        neighbour.join();
        EXPECT_EQ(receive.result, 1);
    }
}

TEST_F(AsioRace, ARescuerGivesUpWhenTheOwnerSleepsInThePort) {
    std::atomic<bool> end{false};
    std::thread owner([&] {
        while (!end.load()) port->wait(detail::no_deadline);
    });
    for (int i = 0; i < 1000; ++i) EXPECT_FALSE(port->rescue());
    end.store(true);
    port->wake();
    owner.join();
}

TEST_F(AsioRace, WakesAreNotLost) {
    std::atomic<unsigned> asked{0};
    std::atomic<unsigned> seen{0};
    constexpr unsigned rounds = 10'000;
    loop rescuer([&] { port->rescue(), std::this_thread::yield(); });
    std::vector<std::thread> wakers;
    for (unsigned me = 0; me < 3; ++me)
        wakers.emplace_back([&, me] {
            for (unsigned i = 1; i <= rounds; ++i) {
                if (i % 3 == me) asked.store(i, std::memory_order_release);
                port->wake();
                EXPECT_TRUE(yield_until([&] { return seen.load(std::memory_order_acquire) >= i; }));
            }
        });
    while (seen.load() != rounds) {
        auto begin = in(0s);
        port->wait(begin + 30'000'000'000);
        EXPECT_LT(in(0s) - begin, 20'000'000'000) << "a wake was lost";
        seen.store(asked.load(std::memory_order_acquire), std::memory_order_release);
    }
    for (auto& waker : wakers) waker.join();
}

TEST_F(AsioRace, ACancelNeverLosesDataAndNeverTouchesTheFreed) {
    socket_pair pair;
    constexpr int rounds = 15'000;
    std::atomic<test_op*> target{nullptr};
    std::atomic<int> turn{0};  // odd: the canceller's
    std::thread canceller([&] {
        std::minstd_rand random(1);
        for (int i = 0; i < rounds; ++i) {
            if (!yield_until([&] { return turn.load(std::memory_order_acquire) == 2 * i + 1; })) return;
            auto* op = target.load(std::memory_order_relaxed);
            bool data_first = random() % 2 == 0;
            auto send_data = [&] { EXPECT_EQ(::write(pair.b, "x", 1), 1); };
            if (data_first) send_data();
            port->cancel(*op);
            if (!data_first) send_data();
            turn.store(2 * i + 2, std::memory_order_release);  // the stopper lets go of the operation
        }
    });
    loop rescuer([&] { port->rescue(), std::this_thread::yield(); });
    int canceled = 0, received = 0;
    for (int i = 0; i < rounds; ++i) {
        char byte = 0;
        auto op = std::make_unique<test_op>(recv(pair.a, &byte, 1, i % 3 == 0));
        target.store(op.get(), std::memory_order_relaxed);
        turn.store(2 * i + 1, std::memory_order_release);
        port->submit(*op);
        ASSERT_TRUE(yield_until([&] { return port->poll(), op->ended(); }));
        ASSERT_TRUE(yield_until([&] { return turn.load(std::memory_order_acquire) == 2 * i + 2; }));
        ASSERT_TRUE(op->result == 1 || op->result == -ECANCELED) << op->result;
        ++(op->result == 1 ? received : canceled);
        if (op->result != 1) {
            ASSERT_EQ(::recv(pair.a, &byte, 1, MSG_DONTWAIT), 1) << "a stopped receive took the byte";
        }
    }
    canceller.join();
    RecordProperty("canceled", canceled);
    RecordProperty("received", received);
    EXPECT_EQ(port->in_flight(), 0u);
}

TEST_F(AsioRace, AStoppedAcceptNeverLosesAConnection) {
    tcp_listener_fd listener;
    constexpr int rounds = 2'000;
    std::atomic<test_op*> target{nullptr};
    std::thread canceller([&] {
        std::minstd_rand random(4);
        for (int i = 0; i < rounds; ++i) {
            test_op* op = nullptr;
            if (!yield_until([&] { return (op = target.load(std::memory_order_acquire)) != nullptr; })) return;
            for (auto pause = random() % 400; pause != 0; --pause) std::atomic_signal_fence(std::memory_order_seq_cst);
            port->cancel(*op);
            target.store(nullptr, std::memory_order_release);
        }
    });
    int accepted = 0;
    for (int i = 0; i < rounds; ++i) {
        test_op accepting(accept(listener.fd));
        int client = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        test_op connecting(connect(client, listener.generic(), sizeof listener.address));
        port->submit(accepting);
        target.store(&accepting, std::memory_order_release);
        EXPECT_EQ(run(*port, connecting), 0);
        EXPECT_TRUE(yield_until([&] { return port->poll(), accepting.ended(); }));
        EXPECT_TRUE(yield_until([&] { return target.load(std::memory_order_acquire) == nullptr; }));
        int peer = accepting.result;
        if (peer >= 0) {
            ++accepted;
        } else {
            EXPECT_EQ(peer, -ECANCELED);
            peer = ::accept4(listener.fd, nullptr, nullptr, SOCK_NONBLOCK);  // must still be there
            EXPECT_GE(peer, 0);
        }
        ::close(peer), ::close(client);
    }
    canceller.join();
    RecordProperty("accepted", accepted);
}

// Two owners submit on the same sockets in turns, poll, wait or are busy; both ports are rescued; data and cancels come from
// outside; sockets are closed, and their numbers used again.
TEST_F(AsioRace, OwnersRescuersAndACancellerTogether) {
    auto second = bound_port(*driver_, 1);
    constexpr int slots = 32;
    constexpr int rounds = 10'000;
    struct slot {
        std::unique_ptr<socket_pair> pair = std::make_unique<socket_pair>();
        std::mutex lock;  // held by whoever uses the slot: pins `op`
        char byte = 0;
        std::unique_ptr<test_op> op;
        driver_port* on = nullptr;
    };
    std::array<slot, slots> all;
    std::atomic<bool> end{false};
    std::atomic<int> ended{0};

    std::thread canceller([&] {
        std::minstd_rand random(2);
        while (!end.load(std::memory_order_relaxed)) {
            auto& s = all[random() % slots];
            std::scoped_lock guard(s.lock);
            if (!s.op) continue;
            if (random() % 2 == 0) static_cast<void>(::send(s.pair->b, "x", 1, MSG_DONTWAIT));
            if (random() % 3 == 0) s.on->cancel(*s.op);
        }
    });
    auto sweep = [&](driver_port& mine, std::minstd_rand& random, bool again) {
        for (auto& s : all) {
            std::unique_lock guard(s.lock, std::try_to_lock);
            if (!guard) continue;
            if (s.op) {
                if (!s.op->ended()) continue;
                EXPECT_TRUE(s.op->result == 1 || s.op->result == -ECANCELED) << s.op->result;
                s.op.reset();
                ended.fetch_add(1);
                if (random() % 8 == 0) s.pair = std::make_unique<socket_pair>();
            }
            if (!again || random() % 2 == 0) continue;
            s.op = std::make_unique<test_op>(recv(s.pair->a, &s.byte, 1, random() % 2 == 0));
            s.on = &mine;
            if (random() % 16 == 0) mine.cancel(*s.op);  // before submit()
            mine.submit(*s.op);
        }
    };
    auto own = [&](driver_port& mine, unsigned seed) {
        std::minstd_rand random(seed);
        while (ended.load() < rounds) {
            sweep(mine, random, true);
            switch (random() % 4) {
            case 0: mine.wait(in(200us)); break;
            case 1: mine.poll(); break;
            default: break;  // busy
            }
        }
    };
    {
        loop rescuer([&] { port->rescue(), second->rescue(), std::this_thread::yield(); });
        std::thread other([&] { own(*second, 5); });
        own(*port, 6);
        other.join();
    }
    end.store(true);
    canceller.join();
    std::minstd_rand random(7);
    for (auto& s : all)
        if (s.op) s.on->cancel(*s.op);
    EXPECT_TRUE(drive_until(*port, [&] {
        second->poll();
        sweep(*port, random, false);
        return std::ranges::none_of(all, [](auto& s) { return s.op != nullptr; });
    }));
    EXPECT_EQ(port->in_flight() + second->in_flight(), 0u);
}

}  // namespace
}  // namespace belay::testing
