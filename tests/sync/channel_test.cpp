// belay::channel: bounded, first come first served, closed by the last sender, nothing lost on a stop.
#include <belay/belay.hpp>

#include <gtest/gtest.h>

// ASSERT_* returns, which a coroutine cannot.
#define CO_EXPECT_HAS(x)          \
    if (!(x)) {                   \
        ADD_FAILURE() << "empty"; \
        co_return;                \
    }

#include <atomic>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using belay::send_status;
using belay::task;

namespace {

task<> send_all(belay::sender<int> tx, int first, int count) {
    for (int i = first; i < first + count; ++i) EXPECT_EQ(co_await tx.send(i), send_status::sent);
}

TEST(Channel, DeliversInOrderAndEndsWhenTheLastSenderHasGone) {
    belay::runtime runtime{{.workers = 2}};
    runtime.block_on([]() -> task<> {
        co_await belay::with_scope([](belay::scope& s) -> task<> {
            auto [tx, rx] = belay::channel<int>(3);
            s.spawn(send_all, std::move(tx), 0, 100);
            for (int i = 0; i < 100; ++i) {
                auto message = co_await rx.recv();
                CO_EXPECT_HAS(message);
                EXPECT_EQ(*message, i);
            }
            EXPECT_FALSE((co_await rx.recv()).has_value());
            EXPECT_FALSE((co_await rx.recv()).has_value());
        });
    });
}

TEST(Channel, NeverHoldsMoreThanItsCapacity) {
    belay::runtime runtime{{.workers = 2}};
    runtime.block_on([]() -> task<> {
        co_await belay::with_scope([](belay::scope& s) -> task<> {
            auto [tx, rx] = belay::channel<int>(5);
            for (int p = 0; p < 8; ++p) s.spawn(send_all, tx, p * 1000, 500);
            { auto last = std::move(tx); }
            int received = 0;
            while (co_await rx.recv()) {
                EXPECT_LE(rx.size(), 5U);
                ++received;
            }
            EXPECT_EQ(received, 4000);
            EXPECT_LE(rx.peak(), 5U);
            EXPECT_GE(rx.peak(), 1U);
        });
    });
}

TEST(Channel, SuspendsTheSenderWhileItIsFull) {
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on([]() -> task<> {
        co_await belay::with_scope([](belay::scope& s) -> task<> {
            auto [tx, rx] = belay::channel<int>(1);
            EXPECT_TRUE(tx.try_send(1));
            bool sent = false;
            s.spawn(
                [&sent](belay::sender<int> mine) -> task<> {
                    EXPECT_EQ(co_await mine.send(2), send_status::sent);
                    sent = true;
                },
                tx);
            for (int i = 0; i < 10; ++i) co_await belay::yield();
            EXPECT_FALSE(sent);
            EXPECT_EQ(co_await rx.recv(), 1);
            EXPECT_EQ(co_await rx.recv(), 2);
            while (!sent) co_await belay::yield();
        });
    });
}

TEST(Channel, SendAfterCloseReturnsClosedAndLeavesTheValueUntouched) {
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on([]() -> task<> {
        auto [tx, rx] = belay::channel<std::unique_ptr<int>>(2);
        rx.close();
        auto value = std::make_unique<int>(7);
        EXPECT_EQ(co_await tx.send(value), send_status::closed);
        CO_EXPECT_HAS(value);
        EXPECT_EQ(*value, 7);
        EXPECT_FALSE(tx.try_send(value));
        EXPECT_NE(value, nullptr);
        EXPECT_FALSE(co_await tx.reserve());
        tx.close();
        tx.close();  // idempotent, from either side
    });
}

TEST(Channel, WhatWasSentBeforeTheCloseIsReceived) {
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on([]() -> task<> {
        auto [tx, rx] = belay::channel<int>(4);
        EXPECT_EQ(co_await tx.send(1), send_status::sent);
        EXPECT_EQ(co_await tx.send(2), send_status::sent);
        tx.close();
        EXPECT_EQ(co_await rx.recv(), 1);
        EXPECT_EQ(co_await rx.recv(), 2);
        EXPECT_EQ(co_await rx.recv(), std::nullopt);
    });
}

TEST(Channel, AnOutstandingPermitKeepsTheStreamOpenAndMaySendAfterClose) {
    belay::runtime runtime{{.workers = 2}};
    runtime.block_on([]() -> task<> {
        co_await belay::with_scope([](belay::scope& s) -> task<> {
            auto [tx, rx] = belay::channel<int>(1);
            auto permit = co_await tx.reserve();
            EXPECT_TRUE(permit);
            EXPECT_FALSE(tx.try_send(9));  // the permit holds the only place
            { auto last = std::move(tx); }
            s.spawn(
                [](belay::permit<int> p) -> task<> {
                    co_await belay::yield();
                    EXPECT_EQ(p.send(5), send_status::sent);
                },
                std::move(permit));
            EXPECT_EQ(co_await rx.recv(), 5);
            EXPECT_EQ(co_await rx.recv(), std::nullopt);
        });
    });
}

TEST(Channel, DroppingAPermitGivesItsPlaceToTheNextSender) {
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on([]() -> task<> {
        co_await belay::with_scope([](belay::scope& s) -> task<> {
            auto [tx, rx] = belay::channel<int>(1);
            auto permit = co_await tx.reserve();
            s.spawn(send_all, std::move(tx), 3, 1);
            co_await belay::yield();
            { auto unused = std::move(permit); }
            EXPECT_EQ(co_await rx.recv(), 3);
            EXPECT_EQ(co_await rx.recv(), std::nullopt);
        });
    });
}

// The receiver takes the message out of the permit's hand, so the permit's place is free again.
TEST(Channel, APermitsMessageToAWaitingReceiverMakesRoomForAWaitingSender) {
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on([]() -> task<> {
        std::vector<int> received;
        co_await belay::with_scope([&](belay::scope& s) -> task<> {
            auto [tx, rx] = belay::channel<int>(1);
            auto permit = co_await tx.reserve();
            s.spawn(send_all, std::move(tx), 2, 1);
            s.spawn([&received, from = std::move(rx)]() mutable -> task<> {
                while (auto message = co_await from.recv()) received.push_back(*message);
            });
            for (int i = 0; i < 10; ++i) co_await belay::yield();
            EXPECT_EQ(permit.send(1), send_status::sent);
            while (received.size() != 2) co_await belay::yield();
            EXPECT_EQ(received, (std::vector{1, 2}));
        });
    });
}

TEST(Channel, AReturnedPermitMakesRoomForAllSendersThatFit) {
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on([]() -> task<> {
        std::vector<int> received;
        int sent = 0;
        co_await belay::with_scope([&](belay::scope& s) -> task<> {
            auto [tx, rx] = belay::channel<int>(1);
            auto permit = co_await tx.reserve();
            for (int i = 1; i <= 2; ++i)
                s.spawn(
                    [&sent](belay::sender<int> mine, int value) -> task<> {
                        EXPECT_EQ(co_await mine.send(value), send_status::sent);
                        ++sent;
                    },
                    tx, i);
            s.spawn([&received, from = std::move(rx)]() mutable -> task<> {
                if (auto message = co_await from.recv()) received.push_back(*message);
                while (received.size() != 2) {  // leaves what comes in the channel until the second send has returned
                    if (auto message = from.try_recv()) received.push_back(*message);
                    co_await belay::yield();
                }
            });
            for (int i = 0; i < 10; ++i) co_await belay::yield();
            { auto unused = std::move(permit); }
            while (sent != 2 || received.size() != 2) co_await belay::yield();
            EXPECT_EQ(received.front() + received.back(), 3);
        });
    });
}

// Where a well-known channel went wrong: a close while permits are out.
TEST(Channel, TryRecvOfAClosedChannelWaitsForPermitsThatAreOut) {
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on([]() -> task<> {
        auto [tx, rx] = belay::channel<int>(2);
        auto permit = co_await tx.reserve();
        rx.close();
        EXPECT_EQ(rx.try_recv(), std::nullopt);
        EXPECT_EQ(rx.size(), 0U);
        EXPECT_EQ(permit.send(1), send_status::sent);
        EXPECT_EQ(rx.size(), 1U);
        EXPECT_EQ(rx.try_recv(), 1);
        EXPECT_EQ(rx.size(), 0U);
        EXPECT_EQ(co_await rx.recv(), std::nullopt);
    });
}

TEST(Channel, TheLastPermitThatIsReturnedAfterTheCloseWakesTheReceiver) {
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on([]() -> task<> {
        bool ended = false;
        co_await belay::with_scope([&](belay::scope& s) -> task<> {
            auto [tx, rx] = belay::channel<int>(2);
            auto first = co_await tx.reserve();
            auto second = co_await tx.reserve();
            tx.close();
            s.spawn([&ended, from = std::move(rx)]() mutable -> task<> {
                EXPECT_EQ(co_await from.recv(), std::nullopt);
                ended = true;
            });
            co_await belay::yield();
            { auto unused = std::move(first); }
            for (int i = 0; i < 10; ++i) co_await belay::yield();
            EXPECT_FALSE(ended);
            { auto unused = std::move(second); }
            while (!ended) co_await belay::yield();
        });
    });
}

TEST(Channel, WhenTheReceiverGoesItsMessagesAreDestroyedAndSendersLearnOfIt) {
    auto counted = std::make_shared<int>(0);
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on([&]() -> task<> {
        co_await belay::with_scope([&](belay::scope& s) -> task<> {
            auto [tx, rx] = belay::channel<std::shared_ptr<int>>(2);
            EXPECT_TRUE(tx.try_send(std::shared_ptr<int>(counted)));
            EXPECT_TRUE(tx.try_send(std::shared_ptr<int>(counted)));
            bool told = false;
            s.spawn(
                [&](belay::sender<std::shared_ptr<int>> mine) -> task<> {
                    auto value = counted;
                    EXPECT_EQ(co_await mine.send(value), send_status::closed);
                    EXPECT_EQ(value, counted);
                    told = true;
                },
                tx);
            co_await belay::yield();
            { auto gone = std::move(rx); }
            while (!told) co_await belay::yield();
            EXPECT_EQ(counted.use_count(), 1);
        });
    });
}

TEST(Channel, StopOfAWaitingReceiverTakesNothing) {
    belay::runtime runtime{{.workers = 2}};
    runtime.block_on([]() -> task<> {
        auto [tx, rx] = belay::channel<int>(1);
        EXPECT_EQ(co_await belay::try_timeout(1ms, rx.recv()), std::nullopt);
        EXPECT_TRUE(tx.try_send(4));
        EXPECT_EQ(co_await rx.recv(), 4);
    });
}

TEST(Channel, StopOfAWaitingSenderHasNotSentAndKeepsTheValue) {
    belay::runtime runtime{{.workers = 2}};
    runtime.block_on([]() -> task<> {
        auto [tx, rx] = belay::channel<std::unique_ptr<int>>(1);
        EXPECT_TRUE(tx.try_send(std::make_unique<int>(1)));
        auto second = std::make_unique<int>(2);
        EXPECT_FALSE((co_await belay::try_timeout(1ms, tx.send(second))).has_value());
        CO_EXPECT_HAS(second);
        EXPECT_EQ(**co_await rx.recv(), 1);
        EXPECT_EQ(rx.size(), 0U);
    });
}

// Promise 2 under contention: receivers are stopped at random moments; every message is seen exactly once.
TEST(Channel, NothingIsLostOrDoubledWhenReceiversAreStoppedAtAnyMoment) {
    static constexpr int messages = 20'000;
    belay::runtime runtime{{.workers = 2}};
    runtime.block_on([]() -> task<> {
        co_await belay::with_scope([](belay::scope& s) -> task<> {
            auto [tx, rx] = belay::channel<int>(8);
            for (int p = 0; p < 4; ++p) s.spawn(send_all, tx, p * (messages / 4), messages / 4);
            { auto last = std::move(tx); }
            std::vector<bool> seen(messages);
            int count = 0;
            for (;;) {
                // The receive races a yield: sometimes it wins, sometimes it is stopped, sometimes both.
                auto raced = co_await belay::when_any(rx.recv(), belay::yield());
                auto& received = std::get<0>(raced.values);
                if (!received.has_value()) continue;
                if (!received->has_value()) break;
                int message = **received;
                EXPECT_FALSE(seen[static_cast<std::size_t>(message)]);
                seen[static_cast<std::size_t>(message)] = true;
                ++count;
            }
            EXPECT_EQ(count, messages);
        });
    });
}

// The same from the other side: a stopped send has not happened, so the sender sends the value again.
TEST(Channel, NothingIsLostOrDoubledWhenSendersAreStoppedAtAnyMoment) {
    static constexpr int each = 2'000;
    belay::runtime runtime{{.workers = 2}};
    runtime.block_on([]() -> task<> {
        co_await belay::with_scope([](belay::scope& s) -> task<> {
            auto [tx, rx] = belay::channel<std::unique_ptr<int>>(2);
            for (int p = 0; p < 4; ++p) {
                s.spawn(
                    [](belay::sender<std::unique_ptr<int>> mine, int first) -> task<> {
                        for (int i = first; i < first + each; ++i) {
                            auto value = std::make_unique<int>(i);
                            while (value != nullptr) co_await belay::when_any(mine.send(value), belay::yield());
                        }
                    },
                    tx, p* each);
            }
            { auto last = std::move(tx); }
            std::set<int> seen;
            while (auto message = co_await rx.recv()) EXPECT_TRUE(seen.insert(**message).second);
            EXPECT_EQ(seen.size(), 4U * each);
        });
    });
}

// A close and a stop reach for the same waiting senders: each of them is ended by one of the two.
TEST(Channel, ACloseAndAStopMayMeetAtTheSameSenders) {
    static constexpr int senders = 1'000;
    belay::runtime runtime{{.workers = 2, .guardrails = "stall=off"}};  // one task waits for a thread
    for (int round = 0; round < 50; ++round) {
        auto [tx, rx] = belay::channel<int>(1);
        EXPECT_TRUE(tx.try_send(0));
        std::atomic<int> sending{0};
        std::atomic<belay::scope*> meeting{nullptr};
        std::atomic<bool> stopped{false};
        std::thread closer{[&, &receiver = rx] {
            meeting.wait(nullptr);
            receiver.close();
        }};
        std::thread stopper{[&] {
            meeting.wait(nullptr);
            meeting.load()->request_stop();
            stopped = true;
        }};
        runtime.block_on([&, &sender = tx]() -> task<> {
            co_await belay::with_scope([&](belay::scope& s) -> task<> {
                s.spawn([&]() -> task<> {  // keeps the scope alive until the stopper is through with it
                    while (!stopped) std::this_thread::yield();
                    co_return;
                });
                for (int i = 0; i < senders; ++i) {
                    s.spawn([&sending, mine = sender]() mutable -> task<> {
                        ++sending;
                        (void)co_await mine.send(1);
                    });
                }
                while (sending != senders) co_await belay::yield();
                meeting = &s;
                meeting.notify_all();
            });
        });
        closer.join();
        stopper.join();
        EXPECT_EQ(rx.size(), 1U);
    }
}

TEST(Channel, ManyProducersFromForeignThreadsMayTrySend) {
    belay::runtime runtime{{.workers = 2}};
    auto [tx, rx] = belay::channel<int>(16);
    std::vector<std::thread> threads;
    std::atomic<int> sent{0};
    for (int t = 0; t < 3; ++t)
        threads.emplace_back([mine = tx, &sent]() mutable {
            for (int i = 0; i < 2'000;) {
                if (mine.try_send(i)) {
                    ++i;
                    ++sent;
                } else {
                    std::this_thread::yield();
                }
            }
        });
    { auto last = std::move(tx); }
    int received = runtime.block_on([&]() -> task<int> {
        int n = 0;
        while (co_await rx.recv()) ++n;
        co_return n;
    });
    for (auto& t : threads) t.join();
    EXPECT_EQ(received, 6'000);
    EXPECT_EQ(sent.load(), 6'000);
}

struct carries_a_sender {
    belay::sender<carries_a_sender> reply_to;
};

TEST(Channel, AMessageMayHaveASenderOfItsOwnChannel) {
    belay::runtime rt{{.workers = 2}};
    rt.block_on([]() -> belay::task<> {
        auto [tx, rx] = belay::channel<carries_a_sender>(1);
        EXPECT_TRUE(tx.try_send(carries_a_sender{tx}));
        auto first = co_await rx.recv();
        co_await belay::with_scope([&](belay::scope& s) -> belay::task<> {
            s.spawn([&rx]() -> belay::task<> { EXPECT_TRUE(co_await rx.recv()); });
            co_await belay::yield();
            co_await tx.send(carries_a_sender{first->reply_to});  // right into the waiting receiver's hands
        });
        EXPECT_TRUE(tx.try_send(carries_a_sender{tx}));  // dropped with the channel
    });
}

TEST(Channel, ActorsMaySendEachOtherTheirSenders) {
    constexpr int rounds = 2'000;
    belay::runtime rt{{.workers = 2}};
    auto actor = [](belay::receiver<carries_a_sender> rx, belay::sender<carries_a_sender> own,
                    belay::sender<carries_a_sender> other) -> belay::task<> {
        for (int i = 0; i < rounds; ++i) {
            co_await other.send(carries_a_sender{own});
            auto got = co_await rx.recv();
            other = std::move(got->reply_to);
        }
    };
    auto [tx1, rx1] = belay::channel<carries_a_sender>(2);
    auto [tx2, rx2] = belay::channel<carries_a_sender>(2);
    rt.block_on(belay::with_scope([&](belay::scope& s) -> belay::task<> {
        s.spawn(actor, std::move(rx1), tx1, tx2);
        s.spawn(actor, std::move(rx2), tx2, tx1);
        co_return;
    }));
}

TEST(Channel, SendersAreAssignedMovedAndSwapped) {
    auto [tx1, rx1] = belay::channel<int>(1);
    auto [tx2, rx2] = belay::channel<int>(1);
    std::swap(tx1, tx2);
    EXPECT_TRUE(tx1.try_send(1));
    EXPECT_EQ(rx2.try_recv(), 1);
    auto& itself = tx1;
    tx1 = itself;
    EXPECT_TRUE(tx1.try_send(2));
    EXPECT_EQ(rx2.try_recv(), 2);
    tx2 = tx1;  // the last sender of the first channel goes
    EXPECT_TRUE(rx1.closed());
    EXPECT_FALSE(rx2.closed());
    auto moved = std::move(tx2);
    tx1 = std::move(moved);
    moved = tx1;  // a moved-from sender can be assigned to
    EXPECT_TRUE(moved.try_send(3));
    auto receives = std::move(rx2);
    rx1 = std::move(receives);
    EXPECT_EQ(rx1.try_recv(), 3);
}

TEST(Channel, ACapacityOfZeroIsRefusedWithASentence) {
    try {
        (void)belay::channel<int>(0);
        FAIL();
    } catch (const std::invalid_argument& e) {
        EXPECT_NE(std::string(e.what()).find("capacity must be at least 1"), std::string::npos);
    }
}

}  // namespace
