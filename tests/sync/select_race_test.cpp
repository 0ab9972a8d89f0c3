// Stress of select's claim word, for the sanitizers: grants, closes, stops and timers from other threads meet at every moment of a
// select, and still each message is received exactly once or is in the channel, and each lock, permit and place comes back.
#include <belay/belay.hpp>
#include <belay/tests/runtime/support.hpp>

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <memory>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using belay::select;
using belay::send_status;
using belay::sleep_for;
using belay::task;

namespace {

using message = std::unique_ptr<int>;

/// Counts each number once; a second time is a failure.
class ledger {
public:
    explicit ledger(std::size_t size) : seen_(size) {}
    void add(int number) {
        EXPECT_EQ(seen_[static_cast<std::size_t>(number)].fetch_add(1), 0) << number << " came twice";
        ++count_;
    }
    [[nodiscard]] std::size_t count() const { return count_; }

private:
    std::vector<std::atomic<int>> seen_;
    std::atomic<std::size_t> count_{0};
};

class SelectRace : public belay::test::Suite {
protected:
    belay::runtime runtime{belay::test::options(3)};
};

constexpr int messages = belay::test::sanitized ? 2'000 : 8'000;
constexpr int sent_by_each = messages / 4;

/// Sends its numbers, from `first` on, into either of two channels, with whatever wins.
task<> produce(belay::sender<message> a, belay::sender<message> b, int first) {
    for (int i = first, turn = 0; i < first + sent_by_each; ++turn) {
        auto value = std::make_unique<int>(i);
        if (turn % 3 == 0) {
            auto won = co_await select(a.send(value), b.send(value), sleep_for(50us));
            EXPECT_EQ(value == nullptr, won.index() != 2) << "sent, or untouched";
            if (won.index() != 2) ++i;
        } else if (turn % 3 == 1) {
            auto won = co_await select(a.reserve(), b.reserve());
            auto permit = won.index() == 0 ? std::move(won).get<0>() : std::move(won).get<1>();
            if (turn % 2 == 0) continue;  // changed its mind: gives it back
            EXPECT_EQ(permit.send(std::move(value)), send_status::sent);
            ++i;
        } else {
            EXPECT_EQ(co_await (turn % 2 == 0 ? a : b).send(value), send_status::sent);
            ++i;
        }
    }
}

/// Receives from both until both have ended.
task<> consume(belay::receiver<message>& a, belay::receiver<message>& b, ledger& seen) {
    bool a_open = true;
    bool b_open = true;
    for (unsigned turn = 0; a_open || b_open; ++turn) {
        auto got = [&](std::optional<message>& m, bool& open) {
            if (m) {
                seen.add(**m);
            } else {
                open = false;
            }
        };
        if (a_open && b_open) {
            auto won = co_await select(a.recv(), b.recv(), sleep_for(std::chrono::microseconds(turn % 4 * 40)));
            if (won.index() == 0) got(won.get<0>(), a_open);
            if (won.index() == 1) got(won.get<1>(), b_open);
        } else {
            auto won = co_await select((a_open ? a : b).recv(), sleep_for(100us));
            if (won.index() == 0) got(won.get<0>(), a_open ? a_open : b_open);
        }
    }
}

TEST_F(SelectRace, EachMessageIsReceivedOnce) {
    ledger seen{static_cast<std::size_t>(messages)};
    runtime.block_on([&]() -> task<> {
        auto [tx1, rx1] = belay::channel<message>(2);
        auto [tx2, rx2] = belay::channel<message>(1);
        co_await belay::with_scope([&, &a = tx1, &b = tx2, &ra = rx1, &rb = rx2](belay::scope& s) -> task<> {
            for (int p = 0; p < 4; ++p) s.spawn(produce, a, b, p * sent_by_each);
            { auto gone = std::move(a); }
            { auto gone = std::move(b); }
            s.spawn(consume, std::ref(ra), std::ref(rb), std::ref(seen));
            co_return;
        });
    });
    EXPECT_EQ(seen.count(), static_cast<std::size_t>(messages));
}

// Stops from another thread at every moment: what was not received is in the channels, what was not sent is with its sender.
TEST_F(SelectRace, AStopAtAnyMomentLosesAndDoublesNothing) {
    static constexpr int rounds = belay::test::sanitized ? 60 : 300;
    static constexpr int each = 200;
    std::atomic<belay::scope*> target{nullptr};
    std::atomic<bool> stopped{false};
    std::atomic<bool> quit{false};
    std::thread stopper{[&] {
        unsigned random = 7;
        while (!quit) {
            belay::scope* s = target.exchange(nullptr);
            if (s == nullptr) {
                std::this_thread::yield();
                continue;
            }
            random = random * 1664525U + 1013904223U;
            for (volatile unsigned spin = 0; spin < (random >> 15);) spin = spin + 1;
            s->request_stop();
            stopped = true;
        }
    }};
    for (int round = 0; round < rounds; ++round) {
        auto ends1 = belay::channel<message>(2);
        auto ends2 = belay::channel<message>(2);
        ledger seen{4 * each};
        std::atomic<std::size_t> sent{0};
        belay::mutex mutex;
        belay::semaphore semaphore{1};
        belay::event never;
        runtime.block_on([&]() -> task<> {
            co_await belay::with_scope([&](belay::scope& s) -> task<> {
                stopped = false;
                for (int p = 0; p < 4; ++p) {
                    s.spawn([&, a = ends1.first, b = ends2.first, first = p * each]() mutable -> task<> {
                        for (int i = first; i < first + each; ++i) {
                            auto value = std::make_unique<int>(i);
                            // What a send returned is counted before the task can stop: a value that won is delivered.
                            auto won = co_await select(a.send(value), b.send(value), never.wait());
                            EXPECT_EQ(value, nullptr);
                            EXPECT_NE(won.index(), 2U);
                            ++sent;
                        }
                    });
                }
                s.spawn([&]() -> task<> {
                    for (;;) {
                        auto won = co_await select(ends1.second.recv(), ends2.second.recv(), sleep_for(30us), never.wait());
                        if (won.index() == 0) seen.add(**won.get<0>());
                        if (won.index() == 1) seen.add(**won.get<1>());
                    }
                });
                for (int t = 0; t < 3; ++t) {
                    s.spawn([&]() -> task<> {
                        for (;;) {
                            auto won = co_await select(mutex.lock(), semaphore.acquire(), sleep_for(20us));
                            co_await belay::yield();
                        }
                    });
                }
                target = &s;
                while (!stopped) std::this_thread::yield();  // the scope lives until the stopper is through with it
                co_return;
            });
        });
        belay::test::wait_until([&] { return stopped.load(); });
        std::size_t left = 0;
        for (auto* rx : {&ends1.second, &ends2.second})
            while (auto m = rx->try_recv()) {
                seen.add(**m);
                ++left;
            }
        EXPECT_EQ(seen.count(), sent) << left << " were left in the channels";
        EXPECT_TRUE(mutex.try_lock().owns_lock());
        EXPECT_EQ(semaphore.available(), 1U);
        for (auto* tx : {&ends1.first, &ends2.first}) {
            EXPECT_TRUE(tx->try_send(nullptr));
            EXPECT_TRUE(tx->try_send(nullptr)) << "a place is still taken";
        }
    }
    quit = true;
    stopper.join();
}

// send a or receive b, against send b or receive a: whichever happens, neither waits for the other to make up its mind.
TEST_F(SelectRace, TwoSelectsThatWaitOnEachOthersChannels) {
    static constexpr int rounds = belay::test::sanitized ? 3'000 : 20'000;
    runtime.block_on([]() -> task<> {
        auto [to_a, a] = belay::channel<int>(1);
        auto [to_b, b] = belay::channel<int>(1);
        std::array<int, 2> mine{};  // sent, received
        std::array<int, 2> yours{};
        auto play = [](belay::sender<int> out, belay::receiver<int>& in, std::array<int, 2>& counts) -> task<> {
            auto& [sends, receives] = counts;
            bool open = true;
            while (sends < rounds || open) {
                if (sends < rounds && open) {
                    auto won = co_await select(out.send(sends), in.recv());
                    if (won.index() == 0) {
                        EXPECT_EQ(won.get<0>(), send_status::sent);
                        ++sends;
                    } else if (won.get<1>()) {
                        EXPECT_EQ(*won.get<1>(), receives++);
                    } else {
                        open = false;
                    }
                } else if (open) {
                    { auto gone = std::move(out); }
                    while (auto m = co_await in.recv()) EXPECT_EQ(*m, receives++);
                    open = false;
                } else {
                    EXPECT_EQ(co_await out.send(sends), send_status::sent);
                    ++sends;
                }
            }
        };
        co_await belay::with_scope([&, &tx_a = to_a, &tx_b = to_b, &rx_a = a, &rx_b = b](belay::scope& s) -> task<> {
            s.spawn(play, std::move(tx_a), std::ref(rx_b), std::ref(mine));
            s.spawn(play, std::move(tx_b), std::ref(rx_a), std::ref(yours));
            co_return;
        });
        EXPECT_EQ(mine, (std::array{rounds, rounds}));
        EXPECT_EQ(yours, (std::array{rounds, rounds}));
    });
}

// Several events at once, several timers at once, a join: all may come in the same instant, from different threads.
TEST_F(SelectRace, OneOfManyThatComeAtTheSameMoment) {
    static constexpr int rounds = belay::test::sanitized ? 300 : 1'000;
    std::atomic<belay::event*> first{nullptr};
    std::atomic<belay::event*> second{nullptr};
    std::atomic<int> done{0};
    belay::event the_end;
    auto set_what_comes = [&](std::atomic<belay::event*>& from) {
        for (;;) {
            from.wait(nullptr);  // asleep and not spinning: on a busy machine a spinner would get no turn when it is needed
            belay::event* e = from.exchange(nullptr);
            if (e == &the_end) return;
            e->set();
            ++done;
        }
    };
    std::thread one{[&] { set_what_comes(first); }};
    std::thread two{[&] { set_what_comes(second); }};
    std::array<int, 7> wins{};
    runtime.block_on([&]() -> task<> {
        for (int round = 0; round < rounds; ++round) {
            belay::event a;
            belay::event b;
            co_await belay::with_scope([&](belay::scope& s) -> task<> {
                done = 0;
                auto child = s.spawn([&]() -> task<int> {
                    if (round % 2 == 0) co_await belay::yield();
                    co_return round;
                });
                if (round % 3 == 0) co_await belay::yield();
                first = &a;
                first.notify_one();
                second = &b;
                second.notify_one();
                auto won =
                    co_await select(a.wait(), b.wait(), child.join(), sleep_for(1us), sleep_for(60us), sleep_for(1us), a.wait());
                ++wins[won.index()];
                if (won.index() == 2) {
                    EXPECT_EQ(won.get<2>(), round);
                } else {
                    EXPECT_EQ(co_await child.join(), round);
                }
                co_await belay::test::until([&] { return done == 2; });
            });
        }
    });
    first = &the_end;
    first.notify_one();
    second = &the_end;
    second.notify_one();
    one.join();
    two.join();
    int total = 0;
    for (int w : wins) total += w;
    EXPECT_EQ(total, rounds);
}

// Deadlines and timers fire together: the select ends as one of them, and its timers are never left behind.
TEST_F(SelectRace, ATimeoutAndTheTimersOfTheSelectAtOnce) {
    static constexpr int rounds = belay::test::sanitized ? 200 : 1'000;
    runtime.block_on([]() -> task<> {
        co_await belay::with_scope([](belay::scope& s) -> task<> {
            for (int t = 0; t < 8; ++t)
                s.spawn([]() -> task<> {
                    belay::event never;
                    auto selecting = [&]() -> task<std::size_t> {
                        co_return (co_await select(sleep_for(100us), never.wait(), sleep_for(100us))).index();
                    };
                    for (int i = 0; i < rounds / 8; ++i) {
                        auto won = co_await belay::try_timeout(100us, selecting());
                        if (won) {
                            EXPECT_NE(*won, 1U);
                        }
                    }
                });
            co_return;
        });
    });
}

// Grants of a mutex and a semaphore on three workers, with plain waiters among the selects.
TEST_F(SelectRace, LocksAndPermitsAreHeldByOneAtATime) {
    static constexpr int each = belay::test::sanitized ? 300 : 2'000;
    runtime.block_on([]() -> task<> {
        belay::mutex left;
        belay::mutex right;
        belay::semaphore pair{3};
        std::array<int, 2> inside{};  // plain: the mutexes protect it
        std::atomic<int> permits{0};
        co_await belay::with_scope([&](belay::scope& s) -> task<> {
            for (int t = 0; t < 6; ++t)
                s.spawn([&, t]() -> task<> {
                    for (int i = 0; i < each; ++i) {
                        if (t % 3 == 0) {
                            auto guard = co_await left.lock();
                            EXPECT_EQ(++inside[0], 1);
                            --inside[0];
                        } else if (t % 3 == 1) {
                            auto won = co_await select(left.lock(), right.lock());
                            EXPECT_EQ(++inside[won.index()], 1);
                            co_await belay::yield();
                            --inside[won.index()];
                        } else {
                            auto won = co_await select(pair.acquire(2), right.lock(), pair.acquire(1));
                            if (won.index() == 1) {
                                EXPECT_EQ(++inside[1], 1);
                                --inside[1];
                                continue;
                            }
                            int mine = won.index() == 0 ? 2 : 1;
                            EXPECT_LE(permits += mine, 3);
                            co_await belay::yield();
                            permits -= mine;
                        }
                    }
                });
            co_return;
        });
        EXPECT_EQ(pair.available(), 3U);
        EXPECT_TRUE(left.try_lock().owns_lock());
        EXPECT_TRUE(right.try_lock().owns_lock());
    });
}

}  // namespace
