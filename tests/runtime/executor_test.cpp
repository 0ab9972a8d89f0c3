// Who runs what and when: stealing, injection, fairness, the LIFO slot, the budget. No clocks: a task that has to run
// somewhere else or next is waited for by one that would otherwise spin for ever.
#include <belay/runtime/detail/worker.hpp>
#include <belay/runtime/scope.hpp>
#include <belay/runtime/sleep.hpp>
#include <belay/runtime/when_all.hpp>
#include <belay/tests/runtime/support.hpp>

namespace belay {
namespace {

using namespace test;

class Executor : public Suite {};

/// Holds its worker until `all` of them have arrived: returns only if that many workers take part.
struct meeting {
    int all;
    std::atomic<int> arrived{0};
    void join() {
        ++arrived;
        while (arrived < all) std::this_thread::yield();
    }
};

TEST_F(Executor, ForkedTasksAreStolenByTheOtherWorkers) {
    runtime rt{options(4)};
    for (int round = 0; round < 20; ++round) {
        meeting m{.all = 4};
        rt.block_on([&]() -> task<> {
            co_await with_scope([&](scope& s) -> task<> {
                for (int i = 0; i < 3; ++i) {
                    s.spawn([&]() -> task<> {
                        m.join();
                        co_return;
                    });
                }
                m.join();  // does not suspend: the three can only run elsewhere
                co_return;
            });
        });
    }
    std::uint64_t steals = 0;
    for (const auto& w : rt.metrics().workers) steals += w.steals;
    EXPECT_GT(steals, 0U);
}

TEST_F(Executor, WokenTasksAreStolenByTheOtherWorkers) {
    runtime rt{options(4)};
    for (int round = 0; round < 20; ++round) {
        meeting m{.all = 4};
        gate shut;
        rt.block_on([&]() -> task<> {
            co_await with_scope([&](scope& s) -> task<> {
                for (int i = 0; i < 3; ++i) {
                    s.spawn([&]() -> task<> {
                        co_await shut.wait();
                        m.join();
                    });
                }
                co_await until([&] { return shut.waiting() == 3; });
                shut.open();
                m.join();
            });
        });
    }
}

TEST_F(Executor, InjectedTasksSpreadOverTheWorkers) {
    runtime rt{options(4)};
    for (int round = 0; round < 20; ++round) {
        meeting m{.all = 4};
        std::vector<join_handle<>> handles;
        for (int i = 0; i < 4; ++i) {
            handles.push_back(rt.spawn([&]() -> task<> {
                m.join();
                co_return;
            }));
        }
        wait_until([&] { return std::all_of(handles.begin(), handles.end(), [](auto& h) { return h.ended(); }); });
    }
}

TEST_F(Executor, BranchesOfAWhenAllRunOnSeveralWorkers) {
    runtime rt{options(3)};
    for (int round = 0; round < 20; ++round) {
        meeting m{.all = 3};
        rt.block_on([&]() -> task<> {
            auto branch = [&]() -> task<> {
                m.join();
                co_return;
            };
            co_await when_all(branch(), branch(), branch());
        });
    }
}

// Fairness: bounded polls of bounded tasks give every ready task its turn.

TEST_F(Executor, AnInjectedTaskIsServedWhileTheWorkerHasWorkOfItsOwn) {
    runtime one{options(1)};
    std::atomic<bool> injected{false};
    std::atomic<bool> ran{false};
    std::atomic<bool> go{false};
    std::thread outside{[&] {
        wait_until([&] { return go.load(); });
        one.spawn([&]() -> task<> {
            ran = true;
            co_return;
        });
        injected = true;
    }};
    int polls = 0;
    one.block_on([&]() -> task<> {
        go = true;
        while (!ran) {
            if (injected) ++polls;
            co_await yield();
        }
    });
    outside.join();
    EXPECT_LE(polls, 64);
}

TEST_F(Executor, AWokenTaskIsServedAlthoughForkedOnesNeverEnd) {
    runtime one{options(1)};
    one.block_on([&]() -> task<> {
        bool done = false;
        co_await with_scope([&](scope& s) -> task<> {
            struct chain {
                static task<> link(scope& in, bool& end) {  // each poll forks the next one: the fork lane is never empty
                    if (!end) in.spawn(&chain::link, std::ref(in), std::ref(end));
                    co_return;
                }
            };
            s.spawn(&chain::link, std::ref(s), std::ref(done));
            for (int i = 0; i < 100; ++i) co_await yield();
            done = true;
        });
    });
}

TEST_F(Executor, AForkedTaskIsServedAlthoughWokenOnesNeverEnd) {
    runtime one{options(1)};
    one.block_on([&]() -> task<> {
        bool done = false;
        co_await with_scope([&](scope& s) -> task<> {
            for (int i = 0; i < 3; ++i) {
                s.spawn([&]() -> task<> {
                    while (!done) co_await yield();
                });
            }
            for (int i = 0; i < 100; ++i) co_await yield();
            s.spawn([&]() -> task<> {
                done = true;
                co_return;
            });
        });
    });
}

TEST_F(Executor, TimersFireAlthoughThereIsAlwaysWork) {
    runtime one{options(1)};
    one.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            bool done = false;
            s.spawn([&]() -> task<> {
                co_await sleep_for(1ms);
                done = true;
            });
            while (!done) co_await yield();
        });
    });
}

// Two tasks that wake each other use the LIFO slot at most three times in a row.
TEST_F(Executor, APairThatWakesEachOtherDoesNotKeepAThirdTaskWaiting) {
    runtime one{options(1)};
    one.block_on([&]() -> task<> {
        gate a, b;
        int rounds = 0;
        bool done = false;
        co_await with_scope([&](scope& s) -> task<> {
            auto player = [&](std::reference_wrapper<gate> mine, std::reference_wrapper<gate> other) -> task<> {
                while (!done) {
                    ++rounds;
                    other.get().release_one();
                    co_await mine.get().wait();
                }
                other.get().open();
            };
            s.spawn(player, std::ref(a), std::ref(b));
            s.spawn(player, std::ref(b), std::ref(a));
            co_await until([&] { return rounds > 10; });
            int worst = 0;
            for (int i = 0; i < 500; ++i) {
                int before = rounds;
                co_await yield();
                worst = std::max(worst, rounds - before);
            }
            done = true;
            a.open();
            b.open();
            EXPECT_GE(worst, 1);
            EXPECT_LE(worst, 6);
        });
    });
}

// A chain of transfers is one poll, which has a budget: a fork-join that never suspends lets others in.
TEST_F(Executor, AChainOfTransfersYieldsWhenItsBudgetIsUsedUp) {
    runtime one{options(1)};
    one.block_on([&]() -> task<> {
        bool other_ran = false;
        co_await with_scope([&](scope& s) -> task<> {
            s.spawn([&]() -> task<> {
                co_await yield();
                other_ran = true;
            });
            co_await yield();
            auto leaf = []() -> task<> { co_return; };
            int joins = 0;
            for (; !other_ran && joins < 10'000; ++joins) co_await when_all(leaf());
            EXPECT_TRUE(other_ran);
        });
    });
}

TEST_F(Executor, AThousandTasksAHundredTimesOver) {
    runtime rt{options(3)};
    std::atomic<std::uint64_t> ran{0};
    int rounds = sanitized ? 20 : 100;
    rt.block_on([&]() -> task<> {
        for (int r = 0; r < rounds; ++r) {
            co_await with_scope([&](scope& s) -> task<> {
                for (int i = 0; i < 1000; ++i) {
                    s.spawn([&, i]() -> task<> {
                        for (int k = 0; k < i % 3; ++k) co_await yield();
                        ++ran;
                    });
                }
                co_return;
            });
        }
    });
    EXPECT_EQ(ran, static_cast<std::uint64_t>(rounds) * 1000);
}

// Lost wake-ups: each round all workers have gone to sleep or are about to, and one event has to wake one of them.
TEST_F(Executor, NoWakeUpIsLostBetweenWorkAndSleep) {
    runtime rt{options(2)};
    for (int i = 0; i < 500; ++i) {
        std::atomic<bool> ran{false};
        rt.spawn([&]() -> task<> {
            ran = true;
            co_return;
        });
        wait_until([&] { return ran.load(); });
        for (volatile int spin = 0; spin < i % 97 * 30;) spin = spin + 1;
    }
}

}  // namespace
}  // namespace belay
