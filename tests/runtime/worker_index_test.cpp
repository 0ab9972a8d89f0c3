// spawn_on(): a pinned task is polled by one thread only, whatever wakes it, and nobody takes it over.
#include <belay/runtime/worker_index.hpp>

#include <belay/runtime/async_generator.hpp>
#include <belay/runtime/blocking.hpp>
#include <belay/runtime/finally.hpp>
#include <belay/runtime/local_runtime.hpp>
#include <belay/runtime/map.hpp>
#include <belay/runtime/retry.hpp>
#include <belay/runtime/scope.hpp>
#include <belay/runtime/shield.hpp>
#include <belay/runtime/sleep.hpp>
#include <belay/runtime/strand.hpp>
#include <belay/runtime/this_task.hpp>
#include <belay/runtime/timeout.hpp>
#include <belay/runtime/when_all.hpp>
#include <belay/runtime/when_any.hpp>
#include <belay/sync/channel.hpp>
#include <belay/sync/select.hpp>
#include <belay/tests/runtime/support.hpp>

#include <cstdint>
#include <numeric>
#include <optional>
#include <stdexcept>
#include <thread>

namespace belay {
namespace {

using namespace test;
using thread_id = std::thread::id;
thread_id here() { return std::this_thread::get_id(); }

class Pinned : public Suite {
protected:
    static constexpr unsigned workers = 3;
    static runtime_options quick() {
        auto o = options(workers);
        o.takeover_tick = 200us;
        return o;
    }
    runtime rt{quick()};
};

/// Where a task runs, from its first poll on.
class home {
public:
    void check() {
        if (thread_ == thread_id{}) thread_ = here();
        EXPECT_EQ(here(), thread_);
    }
    ~home() {
        if (thread_ != thread_id{}) {
            EXPECT_EQ(here(), thread_) << "destroyed on another thread";
        }
    }
    home() = default;
    home(home&&) noexcept {}

private:
    thread_id thread_{};
};

TEST_F(Pinned, EveryPollIsOnItsWorkerWhateverWokeIt) {
    gate opened_outside;
    std::atomic<unsigned> waiting{0};
    std::thread opener([&] {
        while (waiting < workers) std::this_thread::yield();
        opened_outside.open();
    });
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            for (std::size_t w = 0; w < workers; ++w) {
                s.spawn_on(w, [&, w]() -> task<> {
                    home mine;
                    mine.check();
                    EXPECT_EQ(this_task::worker(), w);
                    for (int i = 0; i < 50; ++i) {
                        co_await yield();
                        mine.check();
                    }
                    co_await sleep_for(1ms);  // a timer
                    mine.check();
                    auto blocking_thread = co_await spawn_blocking([] { return here(); });
                    EXPECT_NE(blocking_thread, here());
                    mine.check();
                    ++waiting;
                    co_await opened_outside.wait();
                    mine.check();
                    EXPECT_EQ(this_task::worker(), w);
                });
            }
            co_return;
        });
    });
    opener.join();
}

TEST_F(Pinned, BranchesTimeoutsScopesAndMapsInsideRunThereToo) {
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            for (std::size_t w = 0; w < workers; ++w) {
                s.spawn_on(w, [w]() -> task<> {
                    auto inside = [w]() -> task<int> {
                        for (int i = 0; i < 20; ++i) {
                            EXPECT_EQ(this_task::worker(), w);
                            co_await yield();
                        }
                        co_await sleep_for(100us);
                        EXPECT_EQ(this_task::worker(), w);
                        co_return 1;
                    };
                    co_await when_all(inside(), inside(), inside());
                    co_await when_any(inside(), inside());
                    co_await timeout(1min, inside());
                    co_await shield(inside());
                    std::vector<int> numbers(8);
                    co_await map(numbers, at_most(3), [&](int) { return inside(); });
                    co_await with_scope([&](scope&) -> task<> { co_await inside(); });
                    EXPECT_EQ(this_task::worker(), w);
                });
            }
            co_return;
        });
    });
}

TEST_F(Pinned, WhatItSpawnsIsFreeToRunElsewhere) {
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            auto pinned = s.spawn_on(1, [&]() -> task<> {
                std::atomic<bool> ran{false};
                auto mine = here();
                s.spawn([&, mine]() -> task<> {
                    EXPECT_NE(here(), mine);  // which is busy
                    ran = true;
                    co_return;
                });
                while (!ran) std::this_thread::yield();
                co_return;
            });
            co_await pinned.join();
        });
    });
}

TEST_F(Pinned, WaitsForItsWorkerThoughOthersAreIdle) {
    gate shut;
    std::atomic<bool> ran{false}, parked{false}, hogs{false};
    std::atomic<int> others{0};
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            s.spawn_on(2, [&]() -> task<> {
                parked = true;
                co_await shut.wait();
                EXPECT_EQ(this_task::worker(), 2U);
                ran = true;
            });
            co_await until([&] { return parked.load(); });
            s.spawn_on(2, [&]() -> task<> {
                hogs = true;
                // Many takeover ticks pass; what is free runs past the hog, what is pinned does not.
                while (others < 200) std::this_thread::yield();
                EXPECT_FALSE(ran);
                co_return;
            });
            co_await until([&] { return hogs.load(); });
            shut.open();
            for (int i = 0; i < 200; ++i) {
                s.spawn([&]() -> task<> {
                    co_await sleep_for(50us);
                    ++others;
                });
            }
        });
    });
    EXPECT_TRUE(ran);
}

TEST_F(Pinned, NoWakeUpOfASleepingWorkerIsLost) {
    // Two pinned tasks hand a turn to and fro, each time when the other may be going to sleep.
    rt.block_on([&]() -> task<> {
        for (int round = 0; round < (sanitized ? 200 : 2'000); ++round) {
            gate there, back;
            co_await with_scope([&](scope& s) -> task<> {
                s.spawn_on(0, [&]() -> task<> {
                    there.open();
                    co_await back.wait();
                });
                s.spawn_on(1, [&]() -> task<> {
                    co_await there.wait();
                    back.open();
                });
                co_return;
            });
        }
    });
}

TEST_F(Pinned, TasksOfOneWorkerNeedNoLock) {
    struct alignas(64) counter {
        std::uint64_t n = 0;  // plain: ThreadSanitizer holds the promise
    };
    std::vector<counter> counters(workers);
    constexpr std::size_t tasks = 60, increments = 50;
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            for (std::size_t t = 0; t < tasks; ++t) {
                s.spawn_on(t % workers, [&]() -> task<> {
                    for (std::size_t i = 0; i < increments; ++i) {
                        ++counters[*this_task::worker()].n;
                        if (i % 16 == 0) {
                            co_await sleep_for(10us);
                        } else {
                            co_await yield();
                        }
                    }
                });
            }
            co_return;
        });
    });
    std::uint64_t sum = 0;
    for (const auto& c : counters) sum += c.n;
    EXPECT_EQ(sum, tasks * increments);
}

TEST_F(Pinned, SelectsGeneratorsCleanupsAndStartsStayAtHome) {
    rt.block_on([&]() -> task<> {
        for (int round = 0; round < 20; ++round) {
            auto [tx, rx] = channel<int>(2);
            co_await with_scope([&, to = std::move(tx), from = std::move(rx)](scope& s) mutable -> task<> {
                s.spawn_on(
                    1,
                    [](receiver<int> in) -> task<> {
                        auto numbers = [](receiver<int>& source) -> async_generator<int> {
                            for (;;) {
                                auto first = co_await select(source.recv(), sleep_for(1h));
                                auto message = first.get<0>();
                                EXPECT_EQ(this_task::worker(), 1U);
                                if (!message) co_return;
                                co_yield *message;
                            }
                        }(in);
                        int sum = 0;
                        while (auto n = co_await numbers.next()) {
                            EXPECT_EQ(this_task::worker(), 1U);
                            sum += *n;
                        }
                        EXPECT_EQ(sum, 45);
                        co_await finally(yield(), []() -> task<> {
                            co_await sleep_for(10us);
                            EXPECT_EQ(this_task::worker(), 1U);
                        });
                        co_await retry({}, []() -> task<> {
                            EXPECT_EQ(this_task::worker(), 1U);
                            co_return;
                        });
                    },
                    std::move(from));
                s.spawn_on(
                    2,
                    [](sender<int> out) -> task<> {
                        for (int i = 0; i < 10; ++i) {
                            co_await out.send(i);
                            EXPECT_EQ(this_task::worker(), 2U);
                        }
                    },
                    std::move(to));
                co_return;
            });
        }
    });
}

TEST_F(Pinned, ItsFunctionsOnAStrandRunAtHome) {
    strand on;
    int n = 0;
    constexpr std::size_t tasks = 30;
    constexpr int calls = 50;
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            for (std::size_t t = 0; t < tasks; ++t) {
                s.spawn_on(t % workers, [&, w = t % workers]() -> task<> {
                    for (int i = 0; i < calls; ++i) {
                        co_await on.run([&] {
                            EXPECT_EQ(this_task::worker(), w);
                            ++n;
                        });
                        if (i % 10 == 0) co_await yield();
                    }
                });
            }
            co_return;
        });
    });
    EXPECT_EQ(n, int{tasks} * calls);
}

TEST_F(Pinned, SharesItsWorkerFairlyWithFreeTasks) {
    // Each of the four sorts of work on one worker runs for ever until all others have had 100 polls.
    runtime one{options(1)};
    std::atomic<int> polls[3]{};
    auto all = [&] { return polls[0] >= 100 && polls[1] >= 100 && polls[2] >= 100; };
    one.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            s.spawn_on(0, [&]() -> task<> {  // pinned, its own queue
                for (; !all(); ++polls[0]) co_await yield();
            });
            s.spawn([&]() -> task<> {  // the wake lane
                for (; !all(); ++polls[1]) co_await yield();
            });
            s.spawn([&]() -> task<> {  // the fork lane and the inbox: each child is one more poll
                while (!all())
                    co_await s
                        .spawn_on(0,
                                  [&]() -> task<> {
                                      ++polls[2];
                                      co_return;
                                  })
                        .join();
            });
            co_return;
        });
    });
}

TEST_F(Pinned, AStopReachesItAndItUnwindsAtHome) {
    rt.block_on([&]() -> task<> {
        std::atomic<unsigned> parked{0};
        std::atomic<unsigned> ended{0};
        gate shut;
        co_await with_scope([&](scope& s) -> task<> {
            for (std::size_t w = 0; w < 2 * workers; ++w) {
                s.spawn_on(w % workers, [&]() -> task<> {
                    struct count_end {
                        std::atomic<unsigned>& n;
                        ~count_end() { ++n; }
                    } counts{ended};
                    home mine;
                    mine.check();
                    ++parked;
                    co_await shut.wait();
                });
            }
            co_await until([&] { return parked == 2 * workers; });
            s.request_stop();
        });
        EXPECT_EQ(ended, 2 * workers);
    });
}

TEST_F(Pinned, JoinsCrossBetweenPinnedAndFreeTasks) {
    rt.block_on([&]() -> task<> {
        for (int round = 0; round < 50; ++round) {
            co_await with_scope([&](scope& s) -> task<> {
                auto free = s.spawn([]() -> task<int> { co_return 3; });
                auto pinned = s.spawn_on(
                    0,
                    [](join_handle<int> other) -> task<int> {
                        int n = co_await other.join();
                        EXPECT_EQ(this_task::worker(), 0U);
                        co_return n + 1;
                    },
                    std::move(free));
                auto again = s.spawn_on(
                    1,
                    [](join_handle<int> other) -> task<int> {
                        int n = co_await other.join();
                        EXPECT_EQ(this_task::worker(), 1U);
                        co_return n + 1;
                    },
                    std::move(pinned));
                EXPECT_EQ(co_await again.join(), 5);
            });
        }
    });
}

TEST_F(Pinned, AScopeInsideWaitsForChildrenThatEndElsewhere) {
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& outer) -> task<> {
            outer.spawn_on(1, []() -> task<> {
                for (int i = 0; i < 100; ++i) {
                    co_await with_scope([](scope& s) -> task<> {
                        for (std::size_t w = 0; w < workers; ++w) s.spawn_on(w, []() -> task<> { co_return; });
                        co_return;
                    });  // the last child, on whatever worker, hands over to this task
                    EXPECT_EQ(this_task::worker(), 1U);
                }
            });
            co_return;
        });
    });
}

TEST_F(Pinned, ErrorsValuesAndHandlesAreThoseOfSpawn) {
    rt.block_on([&]() -> task<> {
        co_await with_scope({.on_error = on_error::isolate}, [&](scope& s) -> task<> {
            auto sum =
                s.spawn_on(0, [](int a, int b, int c, int d, int e) -> task<int> { co_return a + b + c + d + e; }, 1, 2, 3, 4, 5);
            EXPECT_EQ(co_await sum.join(), 15);
            auto fails = s.spawn_on(0, []() -> task<int> {
                throw std::runtime_error("pinned");
                co_return 0;
            });
            EXPECT_THROW(co_await fails.join(), std::runtime_error);
        });
        // A task, and not only a callable.
        co_await with_scope([](scope& s) -> task<> {
            auto made = []() -> task<std::size_t> { co_return *this_task::worker(); };
            EXPECT_EQ(co_await s.spawn_on(2, made()).join(), 2U);
        });
    });
    EXPECT_EQ(this_task::worker(), std::nullopt);
}

TEST_F(Pinned, AWorkerThatIsNotThereIsNamed) {
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            try {
                s.spawn_on(workers, []() -> task<> { co_return; });
                ADD_FAILURE() << "accepted";
            } catch (const std::out_of_range& e) {
                EXPECT_STREQ(e.what(),
                             "belay: spawn_on(3, ...): this runtime has 3 workers, numbered from 0: see runtime_options.workers");
            }
            EXPECT_EQ(s.size(), 0U);
            co_return;
        });
    });
}

TEST_F(Pinned, FromAnotherThreadAndIntoTheRootScope) {
    std::atomic<int> at_home{0};
    for (std::size_t w = 0; w < 30; ++w)
        rt.spawn_on(w % workers, [&, w]() -> task<> {
            if (this_task::worker() == w % workers) ++at_home;
            co_return;
        });
    rt.block_on([&]() -> task<> { co_await until([&] { return at_home == 30; }); });
}

TEST_F(Pinned, ALocalRuntimeHasOneWorker) {
    local_runtime local{{.name = "local", .guardrails = "stall=off"}};
    int n = 0;
    local.spawn_on(0, [&]() -> task<> {
        co_await yield();
        n += 1;
        co_await sleep_for(100us);
        n += 1;
    });
    EXPECT_THROW(local.spawn_on(1, []() -> task<> { co_return; }), std::out_of_range);
    local.run_until([&]() -> task<> {
        while (n < 2) co_await sleep_for(50us);
    });
    EXPECT_EQ(n, 2);
}

TEST_F(Pinned, AShutdownStopsWhatIsParkedAndWhatIsQueued) {
    std::atomic<int> ended{0};
    struct count_end {
        std::atomic<int>& n;
        ~count_end() { ++n; }
    };
    {
        runtime other{quick()};
        gate shut;
        std::atomic<int> begun{0};
        for (std::size_t i = 0; i < 12; ++i)
            other.spawn_on(i % workers, [&]() -> task<> {
                count_end counts{ended};
                ++begun;
                co_await shut.wait();
            });
        while (begun < 12) std::this_thread::yield();
        EXPECT_EQ(other.shutdown(60s).abandoned, 0U);
    }
    EXPECT_EQ(ended, 12);
}

}  // namespace
}  // namespace belay
