// A uring_port whose owner, rescuer and cancellers run at the same time. Operations live on the heap and are freed as soon as
// they have ended, so that AddressSanitizer sees a driver or a kernel that still uses them.
#include "uring_port_kit.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <random>

namespace belay::testing {
namespace {

/// Runs on a second thread until destroyed.
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

TEST(UringRescue, HandsOverWhatAStuckOwnerStaged) {
    auto port = make_port();
    test_op op(nop());
    port->submit(op);  // staged, not handed over
    EXPECT_FALSE(op.ended());
    loop rescuer([&] { port->rescue(); });
    EXPECT_TRUE(spin_until([&] { return op.ended(); }));  // the owner is busy in user mode
}

TEST(UringRescue, CompletesWhatArrivesWhileTheOwnerIsBusy) {
    auto port = make_port();
    socket_pair pair;
    for (int i = 0; i < 50; ++i) {
        char byte = 0;
        test_op receive(recv(pair.a, &byte, 1, false));
        port->submit(receive);
        port->poll();
        std::thread neighbour([&] {
            EXPECT_EQ(::write(pair.b, "x", 1), 1);
            EXPECT_TRUE(yield_until([&] { return port->rescue() || receive.ended(); }));
        });
        EXPECT_TRUE(spin_until([&] { return receive.ended(); }));
        neighbour.join();
        EXPECT_EQ(receive.result, 1);
    }
}

TEST(UringRescue, CarriesOutCancelsOfABusyOwner) {
    auto port = make_port();
    socket_pair pair;
    for (int i = 0; i < 50; ++i) {
        char byte = 0;
        test_op receive(recv(pair.a, &byte, 1, false));
        port->submit(receive);
        if (i % 2 == 0) port->poll();
        std::thread neighbour([&] {
            port->cancel(receive);
            EXPECT_TRUE(yield_until([&] { return port->rescue() || receive.ended(); }));
        });
        EXPECT_TRUE(spin_until([&] { return receive.ended(); }));
        neighbour.join();
        EXPECT_EQ(receive.result, -ECANCELED);
    }
}

TEST(UringRescue, AnOperationSurvivesTheThreadThatHandedItOver) {
    auto port = make_port();
    socket_pair pair;
    char byte = 0;
    test_op receive(recv(pair.a, &byte, 1, false));
    port->submit(receive);
    std::thread([&] { port->rescue(); }).join();
    for (int i = 0; i < 4; ++i) port->wait(in(1ms));
    EXPECT_FALSE(receive.ended());
    ASSERT_EQ(::write(pair.b, "x", 1), 1);
    EXPECT_TRUE(drive_until(*port, [&] { return receive.ended(); }));
    EXPECT_EQ(receive.result, 1);
}

TEST(UringRescue, WakesAreNotLostToARescuer) {
    auto port = make_port();
    std::atomic<unsigned> asked{0};
    std::atomic<unsigned> seen{0};
    constexpr unsigned rounds = 10'000;
    loop rescuer([&] { port->rescue(); });
    std::thread waker([&] {
        for (unsigned i = 1; i <= rounds; ++i) {
            asked.store(i, std::memory_order_release);
            port->wake();
            if (i % 3 == 0) port->wake();
            EXPECT_TRUE(yield_until([&] { return seen.load(std::memory_order_acquire) == i; }));
        }
    });
    while (seen.load() != rounds) {
        auto begin = in(0s);
        port->wait(begin + 30'000'000'000);
        EXPECT_LT(in(0s) - begin, 10'000'000'000) << "a wake was lost";
        seen.store(asked.load(std::memory_order_acquire), std::memory_order_release);
    }
    waker.join();
}

TEST(UringRace, ACancelNeverLosesDataAndNeverTouchesTheFreed) {
    auto port = make_port();
    socket_pair pair;
    constexpr int rounds = 20'000;
    std::atomic<test_op*> target{nullptr};
    std::atomic<int> turn{0};  // odd: the canceller's
    std::size_t canceled = 0, received = 0;
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
    for (int i = 0; i < rounds; ++i) {
        char byte = 0;
        auto op = std::make_unique<test_op>(recv(pair.a, &byte, 1, i % 3 == 0));
        target.store(op.get(), std::memory_order_relaxed);
        turn.store(2 * i + 1, std::memory_order_release);
        port->submit(*op);
        if (i % 2 == 0) port->poll();
        ASSERT_TRUE(drive_until(*port, [&] { return op->ended(); }));
        ASSERT_TRUE(yield_until([&] { return turn.load(std::memory_order_acquire) == 2 * i + 2; }));
        ASSERT_TRUE(op->result == 1 || op->result == -ECANCELED) << op->result;
        if (op->result == 1) {
            ++received;
        } else {
            ++canceled;
            ASSERT_EQ(::recv(pair.a, &byte, 1, MSG_DONTWAIT), 1) << "a stopped receive took the byte";
        }
    }
    canceller.join();
    RecordProperty("canceled", static_cast<int>(canceled));
    RecordProperty("received", static_cast<int>(received));
    EXPECT_EQ(canceled + received, static_cast<std::size_t>(rounds));
    EXPECT_EQ(port->in_flight(), 0u);
}

// The owner submits at random, polls, waits or is busy; data, cancels and rescues come from two other threads.
TEST(UringRace, OwnerRescuerAndCancellerTogether) {
    auto port = make_port();
    constexpr int slots = 64;
    constexpr int rounds = 30'000;
    struct slot {
        socket_pair pair;
        char byte = 0;
        std::unique_ptr<test_op> op;
        std::atomic<test_op*> shared{nullptr};  // taken by the canceller while it looks at the operation: pins it
    };
    std::array<slot, slots> all;
    std::atomic<bool> end{false};
    std::thread canceller([&] {
        std::minstd_rand random(2);
        while (!end.load(std::memory_order_relaxed)) {
            auto& s = all[random() % slots];
            if (random() % 2 == 0) static_cast<void>(::send(s.pair.b, "x", 1, MSG_DONTWAIT));
            if (auto* op = s.shared.exchange(nullptr, std::memory_order_acq_rel)) {
                if (random() % 2 == 0) port->cancel(*op);
                s.shared.store(op, std::memory_order_release);
            }
        }
    });
    std::size_t ended = 0;
    {
        loop rescuer([&] { port->rescue(); });
        std::minstd_rand random(3);
        auto sweep = [&](bool again) {
            for (auto& s : all) {
                if (s.op) {
                    if (!s.op->ended()) continue;
                    auto* expected = s.op.get();
                    if (!s.shared.compare_exchange_strong(expected, nullptr, std::memory_order_acq_rel)) continue;
                    ASSERT_TRUE(s.op->result == 1 || s.op->result == -ECANCELED) << s.op->result;
                    s.op.reset();
                    ++ended;
                }
                if (!again) continue;
                s.op = std::make_unique<test_op>(recv(s.pair.a, &s.byte, 1, random() % 2 == 0));
                s.shared.store(s.op.get(), std::memory_order_release);  // may be cancelled before submit()
                port->submit(*s.op);
            }
        };
        while (ended < rounds) {
            sweep(true);
            switch (random() % 4) {
            case 0: port->wait(in(1ms)); break;
            case 1: port->poll(); break;
            default: break;  // busy
            }
        }
        EXPECT_TRUE(drive_until(*port, [&] {
            for (auto& s : all)
                if (s.op) static_cast<void>(::send(s.pair.b, "x", 1, MSG_DONTWAIT));
            sweep(false);
            return std::ranges::none_of(all, [](auto& s) { return s.op != nullptr; });
        }));
    }
    end.store(true);
    canceller.join();
    EXPECT_EQ(port->in_flight(), 0u);
}

}  // namespace
}  // namespace belay::testing
