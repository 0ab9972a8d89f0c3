// Stress of the operation protocol, for the sanitizers: a stop from another thread races with the start, the completion and
// the destruction of every kind of operation. Promises 1 and 2: everything ends, once, and nothing is left.
#include <belay/runtime/blocking.hpp>
#include <belay/runtime/finally.hpp>
#include <belay/runtime/scope.hpp>
#include <belay/runtime/shield.hpp>
#include <belay/runtime/sleep.hpp>
#include <belay/runtime/stop_token.hpp>
#include <belay/runtime/stopped_as.hpp>
#include <belay/runtime/this_task.hpp>
#include <belay/runtime/timeout.hpp>
#include <belay/runtime/when_all.hpp>
#include <belay/runtime/when_any.hpp>
#include <belay/tests/runtime/support.hpp>

namespace belay {
namespace {

using namespace test;

class StopRace : public Suite {
protected:
    static constexpr int rounds = sanitized ? 40 : 150;

    StopRace() {
        stopper_ = std::thread{[this] {
            unsigned random = 1;
            while (!quit_) {
                scope* s = target_.exchange(nullptr, std::memory_order_acq_rel);
                if (s == nullptr) {
                    std::this_thread::yield();
                    continue;
                }
                random = random * 1664525U + 1013904223U;
                for (volatile unsigned spin = 0; spin < (random >> 18);) spin = spin + 1;
                s->request_stop();
                done_.store(true, std::memory_order_release);
            }
        }};
    }
    ~StopRace() override {
        quit_ = true;
        stopper_.join();
        EXPECT_EQ(live, 0);
    }

    /// Eight tasks repeat `op(index)` until the stop from the other thread gets them.
    template <class F>
    void race(F op) {
        for (int round = 0; round < rounds; ++round) {
            rt.block_on([&]() -> task<> {
                co_await with_scope([&](scope& s) -> task<> {
                    done_ = false;
                    for (int i = 0; i < 8; ++i) {
                        s.spawn([&, i]() -> task<> {
                            counted here{live};
                            for (;;) {
                                counted inner{live};
                                co_await op(i);
                                co_await checkpoint();
                            }
                        });
                    }
                    target_.store(&s, std::memory_order_release);
                    while (!done_.load(std::memory_order_acquire)) std::this_thread::yield();  // the scope lives until then
                    co_return;
                });
            });
            ASSERT_EQ(live, 0);
        }
    }

    std::atomic<int> live{0};
    runtime rt{options(3)};

private:
    std::atomic<scope*> target_{nullptr};
    std::atomic<bool> done_{false};
    std::atomic<bool> quit_{false};
    std::thread stopper_;
};

TEST_F(StopRace, Yields) {
    race([](int) -> task<> { co_await yield(); });
}

TEST_F(StopRace, WaitsThatOthersEnd) {
    gate shut;
    race([&](int i) -> task<> {
        if (i % 2 == 0) {
            co_await shut.wait();
        } else {
            shut.release_one();
        }
    });
}

TEST_F(StopRace, Sleeps) {
    race([](int i) -> task<> { co_await sleep_for(std::chrono::microseconds(i * 30)); });
}

TEST_F(StopRace, Joins) {
    race([](int) -> task<> {
        co_await with_scope([](scope& s) -> task<> {
            auto a = s.spawn([]() -> task<int> {
                co_await yield();
                co_return 1;
            });
            auto b = s.spawn([]() -> task<> { co_return; });
            EXPECT_EQ(co_await a.join(), 1);
            co_await b.join();
        });
    });
}

TEST_F(StopRace, JoinsOfTasksOutsideTheStoppedScope) {
    std::atomic<int> outside{0};
    race([&](int) -> task<> {
        auto handle = rt.spawn([held = counted{outside}]() -> task<> { co_await yield(); });
        co_await handle.join();
    });
    wait_until([&] { return outside == 0; });
}

TEST_F(StopRace, WaitsForRoom) {
    for (int round = 0; round < rounds; ++round) {
        // The room belongs to a scope that is not stopped, and to one that is.
        rt.block_on([&]() -> task<> {
            co_await with_scope({.max_tasks = 2}, [&](scope& room) -> task<> {
                std::atomic<bool> stopped{false};
                std::thread outside;
                co_await with_scope([&](scope& s) -> task<> {
                    for (int i = 0; i < 6; ++i) {
                        s.spawn([&]() -> task<> {
                            for (;;) {
                                co_await room.spawn_when_free([held = counted{live}]() -> task<> { co_await yield(); });
                                co_await checkpoint();
                            }
                        });
                    }
                    outside = std::thread{[&, round] {
                        for (volatile int spin = 0; spin < round * 100;) spin = spin + 1;
                        s.request_stop();
                        stopped = true;
                    }};
                    while (!stopped) std::this_thread::yield();
                    co_return;
                });
                outside.join();
            });
        });
        ASSERT_EQ(live, 0);
    }
}

TEST_F(StopRace, WaitsForRoomInTheStoppedScopeItself) {
    for (int round = 0; round < rounds; ++round) {
        rt.block_on([&]() -> task<> {
            co_await with_scope({.max_tasks = 3}, [&](scope& s) -> task<> {
                s.spawn([&]() -> task<> {
                    for (int i = 0; i < round % 40; ++i) co_await yield();
                    s.request_stop();
                });
                for (;;) {
                    co_await s.spawn_when_free([held = counted{live}]() -> task<> {
                        co_await yield();
                        co_await yield();
                    });
                }
            });
        });
        ASSERT_EQ(live, 0);
    }
}

TEST_F(StopRace, BlockingCalls) {
    blocking_pool pool{rt, {.name = "race", .max_threads = 2, .max_queued = 1, .keep_alive = 1ms}};
    race([&](int i) -> task<> { EXPECT_EQ(co_await pool.run([i, held = counted{live}] { return i; }), i); });
}

TEST_F(StopRace, WhenAnyOfSleepsAndWaits) {
    gate shut;
    race([&](int i) -> task<> {
        shut.release_one();
        co_await when_any(shut.wait(), sleep_for(std::chrono::microseconds(20 * i)), yield());
    });
}

TEST_F(StopRace, WhenAllThatFails) {
    race([&](int i) -> task<> {
        auto fail = [](int n) -> task<> {
            for (int k = 0; k < n; ++k) co_await yield();
            throw std::runtime_error("branch");
        };
        try {
            co_await when_all(fail(i % 3), never(), sleep_for(1h));
            ADD_FAILURE() << "no error";
        } catch (const std::runtime_error&) {}
    });
}

TEST_F(StopRace, Deadlines) {
    race([&](int i) -> task<> {
        // The deadline, the completion of the work and the stop come at about the same time.
        (void)co_await try_timeout(std::chrono::microseconds(60 * (i + 1)), sleep_for(std::chrono::microseconds(60 * (i + 2))));
        try {
            co_await with_scope({.deadline = std::chrono::microseconds(70 * (i + 1))}, [&](scope& s) -> task<> {
                for (int k = 0; k < 3; ++k) s.spawn([&]() -> task<> { co_await sleep_for(100us); });
                co_return;
            });
        } catch (const deadline_exceeded&) {}
    });
}

TEST_F(StopRace, NestedScopesWithErrors) {
    race([&](int i) -> task<> {
        try {
            co_await with_scope([&](scope& s) -> task<> {
                s.spawn(never);
                s.spawn([i]() -> task<> {
                    for (int k = 0; k < i; ++k) co_await yield();
                    throw std::runtime_error("child");
                });
                co_await with_scope([&](scope& inner) -> task<> {
                    inner.spawn(never);
                    co_await never();
                });
            });
            ADD_FAILURE() << "no error";
        } catch (const std::runtime_error&) {}
    });
}

// Of one task: from another thread, against its end, its scope's own stop, a deadline, and the end of the handle.
TEST_F(StopRace, RequestsOnHandles) {
    gate shut;
    for (int round = 0; round < rounds * 5; ++round) {
        std::atomic<bool> go{false};
        std::vector<join_handle<int>> handles;
        std::thread other;
        rt.block_on([&]() -> task<> {
            try {
                co_await with_scope({.deadline = round % 4 == 0 ? 200us : 1h}, [&](scope& s) -> task<> {
                    for (int i = 0; i < 6; ++i) {
                        handles.push_back(s.spawn([&, i]() -> task<int> {
                            counted here{live};
                            if (i == 0) co_return 0;
                            if (i == 1) co_await yield();
                            if (i == 2)
                                co_await with_scope([&](scope& inner) -> task<> {
                                    inner.spawn(never);
                                    co_await shut.wait();
                                });
                            if (i == 3) co_await when_any(sleep_for(100us), yield());
                            if (i == 4) co_await shield(sleep_for(50us));
                            for (int k = 0; k < round % 50; ++k) co_await yield();
                            if (i == 5) co_await shut.wait();
                            co_return i;
                        }));
                    }
                    other = std::thread{[&] {
                        for (volatile int spin = 0; spin < (round % 40) * 50;) spin = spin + 1;
                        for (auto& handle : handles) handle.request_stop();
                        go = true;
                        handles.clear();
                    }};
                    if (round % 4 == 1) {
                        for (int i = 0; i < round % 11; ++i) co_await yield();
                        s.request_stop();
                    }
                    while (round % 4 == 2 && !go) co_await yield();
                });
            } catch (const deadline_exceeded&) {}
        });
        other.join();
        ASSERT_EQ(live, 0);
    }
}

// The request comes when the task has ended and its scope and its memory's other owner may be on their way out.
TEST_F(StopRace, RequestsOnHandlesOfTasksThatEnd) {
    for (int round = 0; round < rounds * 10; ++round) {
        auto handle = rt.spawn([round, held = counted{live}]() -> task<> {
            for (int i = 0; i < round % 6; ++i) co_await yield();
        });
        std::thread other{[mine = std::move(handle), round] {
            for (volatile int spin = 0; spin < (round % 30) * 30;) spin = spin + 1;
            mine.request_stop();
        }};
        other.join();
    }
    wait_until([&] { return live == 0; });
}

TEST_F(StopRace, JoinsOfTasksThatAreStopped) {
    race([](int i) -> task<> {
        join_handle<> victim;  // out here: a stop may end the body before its children
        co_await with_scope([&victim, i](scope& s) -> task<> {
            victim = s.spawn(never);
            s.spawn([&victim, i]() -> task<> {
                for (int k = 0; k < i; ++k) co_await yield();
                victim.request_stop();
            });
            EXPECT_FALSE(co_await victim.join_optional());
        });
    });
}

TEST_F(StopRace, TokensOfTasks) {
    std::atomic<int> called{0};
    race([&](int i) -> task<> {
        std::stop_callback callback{this_task::stop_token(), [&] { ++called; }};
        co_await when_any(sleep_for(std::chrono::microseconds(i * 20)), [&]() -> task<> {
            std::stop_callback inner{this_task::stop_token(), [&] { ++called; }};
            co_await yield();
        }());
    });
    EXPECT_GT(called, 0);
}

TEST_F(StopRace, TokensOfOthers) {
    race([&](int i) -> task<> {
        std::stop_source source;
        std::thread other{[&] {
            for (volatile int spin = 0; spin < i * 300;) spin = spin + 1;
            source.request_stop();
        }};
        struct joins {
            std::thread& t;
            ~joins() { t.join(); }
        } at_the_end{other};
        co_await with_stop_token(source.get_token(), sleep_for(std::chrono::microseconds(i * 30)));
    });
}

TEST_F(StopRace, ShieldsInShields) {
    race([&](int i) -> task<> {
        auto us = [](int n) { return std::chrono::microseconds(n); };
        co_await shield(
            [&]() -> task<> {
                co_await when_all(shield(sleep_for(us(40 * i)), us(100)), shield(sleep_for(us(300)), us(30 * i)));
            }(),
            us(200));
    });
}

TEST_F(StopRace, CleanupsAndStopsAsValues) {
    std::atomic<int> begun{0};
    std::atomic<int> cleaned{0};
    race([&](int i) -> task<> {
        auto slow = [&]() -> task<> {
            ++begun;
            co_await sleep_for(std::chrono::microseconds(i * 20));
        };
        co_await finally(slow(), [&]() -> task<> {
            co_await yield();
            ++cleaned;
        });
        (void)co_await stopped_as_optional(sleep_for(std::chrono::microseconds(i * 20)));
        try {
            co_await stopped_as_error(sleep_for(std::chrono::microseconds(i * 10)));
        } catch (const task_stopped&) {}
    });
    EXPECT_GE(cleaned, begun);
}

TEST_F(StopRace, ForeignAwaitables) {
    resumer other;
    race([&](int i) -> task<> { EXPECT_EQ((co_await other.elsewhere(i)), i); });
}

}  // namespace
}  // namespace belay
