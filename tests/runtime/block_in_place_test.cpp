// block_in_place(): what a worker would have done is done by another thread while it blocks. Nothing is timed: a function blocks
// until tasks have done what only another thread can let them do, so a broken promise is a test that hangs.
#include <belay/runtime/block_in_place.hpp>

#include <belay/io/tcp_listener.hpp>
#include <belay/io/tcp_stream.hpp>
#include <belay/runtime/local_runtime.hpp>
#include <belay/runtime/scope.hpp>
#include <belay/runtime/sleep.hpp>
#include <belay/runtime/this_task.hpp>
#include <belay/runtime/timeout.hpp>
#include <belay/runtime/when_all.hpp>
#include <belay/tests/observability/capture_sink.hpp>
#include <belay/tests/runtime/support.hpp>

#include <array>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <set>
#include <stdexcept>
#include <stop_token>
#include <string>

namespace belay {
namespace {

using namespace test;

/// Something that a function can block for.
class mark {
public:
    void set() noexcept {
        set_ = true;
        set_.notify_all();
    }
    void block() const noexcept { set_.wait(false); }
    explicit operator bool() const noexcept { return set_; }

private:
    std::atomic<bool> set_{false};
};

/// Blocks this worker until another thread has run a task that was spawned here, and that slept for so long.
task<> block_until_another_ran(std::chrono::nanoseconds after = 0ns) {
    mark ran;
    co_await with_scope([&](scope& s) -> task<> {
        s.spawn([&, after]() -> task<> {
            if (after > 0ns) co_await sleep_for(after);
            ran.set();
        });
        block_in_place([&] { ran.block(); });
        co_return;
    });
}

/// Blocks until the task is asked to stop, and hears of it by its token.
void block_until_stopped(std::stop_token stop) {
    std::mutex lock;
    std::condition_variable_any never_notified;
    std::unique_lock guard(lock);
    never_notified.wait(guard, std::move(stop), [] { return false; });
}

class BlockInPlace : public Suite {
protected:
    runtime rt{options(1)};  // nobody but a stand-in can help
};

// ---- the function ----------------------------------------------------------------------------------------------

TEST_F(BlockInPlace, PassesValuesReferencesAndErrorsThrough) {
    rt.block_on([&]() -> task<> {
        int n = 4;
        EXPECT_EQ(block_in_place([] { return 3; }), 3);
        int& same = block_in_place([&]() -> int& { return n; });
        EXPECT_EQ(&same, &n);
        EXPECT_EQ(*block_in_place([p = std::make_unique<int>(5)]() mutable { return std::move(p); }), 5);
        EXPECT_THROW(block_in_place([] { throw std::runtime_error("inside"); }), std::runtime_error);
        EXPECT_EQ(rt.metrics().in_place, 0U);  // the error ended the section
        co_return;
    });
}

TEST_F(BlockInPlace, RunsOnTheSameThreadInsideTheSameTask) {
    rt.block_on([&]() -> task<> {
        auto thread = std::this_thread::get_id();
        auto id = this_task::id();
        block_in_place([&] {
            EXPECT_EQ(std::this_thread::get_id(), thread);
            EXPECT_EQ(this_task::id(), id);
            EXPECT_EQ(rt.metrics().in_place, 1U);
            block_in_place([&] { EXPECT_EQ(rt.metrics().in_place, 1U); });  // just a call
            EXPECT_EQ(rt.metrics().in_place, 1U);
        });
        co_return;
    });
}

TEST_F(BlockInPlace, OutsideOfATaskItIsACall) {
    EXPECT_EQ(block_in_place([] { return 7; }), 7);
}

TEST_F(BlockInPlace, ALocalRuntimeRefusesAndNamesTheRemedy) {
    local_runtime local{{.name = "local", .guardrails = "stall=off"}};
    local.run_until([]() -> task<> {
        try {
            block_in_place([] { ADD_FAILURE() << "was called"; });
            ADD_FAILURE() << "did not throw";
        } catch (const std::logic_error& e) {
            EXPECT_STREQ(e.what(),
                         "belay: block_in_place() was called in a task of a local_runtime, whose only thread nobody can stand in "
                         "for: write co_await belay::spawn_blocking(...)");
        }
        co_return;
    });
}

// ---- the worker's duties ---------------------------------------------------------------------------------------

TEST_F(BlockInPlace, QueuedTasksRun) { rt.block_on(block_until_another_ran()); }

TEST_F(BlockInPlace, TheTaskThatWasWokenLastRuns) {  // it is in the LIFO slot
    mark ran;
    gate shut;
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            s.spawn([&]() -> task<> {
                co_await shut.wait();
                ran.set();
            });
            co_await yield();
            co_await yield();
            shut.open();
            block_in_place([&] { ran.block(); });
        });
    });
}

TEST_F(BlockInPlace, TasksFromOutsideRun) {
    mark blocks, ran;
    std::thread outside([&] {
        blocks.block();
        rt.spawn([&]() -> task<> {
            ran.set();
            co_return;
        });
    });
    rt.block_on([&]() -> task<> {
        block_in_place([&] {
            blocks.set();
            ran.block();
        });
        co_return;
    });
    outside.join();
}

TEST_F(BlockInPlace, TimersOfTheBlockedWorkerFire) {
    mark ran;
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            s.spawn([&]() -> task<> {
                co_await sleep_for(2ms);
                ran.set();
            });
            co_await yield();  // it sleeps now, in this worker's wheel
            co_await yield();
            block_in_place([&] { ran.block(); });
        });
    });
}

TEST_F(BlockInPlace, InputOfTheBlockedWorkerArrives) {
    std::atomic<bool> reads{false};
    mark got;
    rt.block_on([&]() -> task<> {
        auto listener = io::tcp_listener::bind("127.0.0.1:0");
        auto ends = co_await when_all(io::tcp_stream::connect(listener.local()), listener.accept());
        auto& [client, server] = ends;
        co_await with_scope([&, &to = client, &from = server](scope& s) -> task<> {
            s.spawn([&]() -> task<> {
                std::array<std::byte, 1> b{};
                reads = true;
                EXPECT_EQ(co_await from.read_some(b), 1U);  // submitted to this worker's port
                got.set();
            });
            co_await until([&] { return reads.load(); });
            std::thread writer([&] { EXPECT_EQ(::write(to.native_handle(), "x", 1), 1); });
            block_in_place([&] { got.block(); });
            writer.join();
        });
    });
}

TEST_F(BlockInPlace, WhatTheStandInHasStartedGoesOnAfterwards) {
    // Timers and reads that belong to the stand-in, which rests when they complete.
    rt.block_on([&]() -> task<> {
        auto listener = io::tcp_listener::bind("127.0.0.1:0");
        auto ends = co_await when_all(io::tcp_stream::connect(listener.local()), listener.accept());
        auto& [client, server] = ends;
        for (int round = 0; round < 10; ++round) {
            mark started;
            std::atomic<int> ended{0};
            co_await with_scope([&, &to = client, &from = server](scope& s) -> task<> {
                s.spawn([&]() -> task<> {
                    co_await sleep_for(1ms);  // fires after the section as a rule
                    ++ended;
                });
                s.spawn([&]() -> task<> {
                    std::array<std::byte, 1> b{};
                    started.set();
                    EXPECT_EQ(co_await from.read_some(b), 1U);
                    ++ended;
                });
                block_in_place([&] { started.block(); });
                co_await to.write_all(std::as_bytes(std::span("x", 1)));
                co_await until([&] { return ended == 2; });
            });
        }
    });
}

TEST_F(BlockInPlace, AfterTheSectionTheStandInRunsNothing) {
    rt.block_on([&]() -> task<> {
        co_await block_until_another_ran();
        co_await until([&] { return rt.metrics().stand_ins_on_duty == 0; });
        // Many tasks, and this worker alone runs them. One more the stand-in may have taken just before it was relieved.
        auto stand_in_polls = rt.metrics().workers.at(1).polls;
        co_await with_scope([&](scope& s) -> task<> {
            for (int i = 0; i < 500; ++i) {
                s.spawn([]() -> task<> {
                    co_await yield();
                    co_await sleep_for(10us);
                });
            }
            co_return;
        });
        EXPECT_LE(rt.metrics().workers.at(1).polls, stand_in_polls + 1);
    });
}

TEST_F(BlockInPlace, PinnedTasksWaitForTheirWorker) {
    mark others;
    bool pinned_ran = false;
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            s.spawn_on(0, [&, thread = std::this_thread::get_id()]() -> task<> {
                EXPECT_EQ(std::this_thread::get_id(), thread);
                pinned_ran = true;
                co_return;
            });
            s.spawn([&]() -> task<> {
                for (int i = 0; i < 20; ++i) co_await sleep_for(100us);
                others.set();
            });
            block_in_place([&] { others.block(); });
            EXPECT_FALSE(pinned_ran);
            co_return;
        });
        EXPECT_TRUE(pinned_ran);
    });
}

TEST_F(BlockInPlace, APinnedTaskMayBlockItself) {
    mark ran;
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            s.spawn_on(0, [&]() -> task<> {
                block_in_place([&] { ran.block(); });
                EXPECT_EQ(this_task::worker(), 0U);
                co_await yield();
                EXPECT_EQ(this_task::worker(), 0U);
            });
            s.spawn([&]() -> task<> {
                co_await sleep_for(1ms);
                ran.set();
            });
            co_return;
        });
    });
}

// ---- several at once -------------------------------------------------------------------------------------------

TEST_F(BlockInPlace, StandInsMayBlockThemselves) {
    // Each blocks until the next one, which only a further thread can run, has run; the last lets all go.
    constexpr std::size_t depth = 5;
    std::array<mark, depth + 1> reached;
    auto level = [&](auto& self, scope& s, std::size_t n) -> task<> {
        reached[n].set();
        if (n < depth) {
            s.spawn([&self, &s, n] { return self(self, s, n + 1); });
            block_in_place([&] { reached[n + 1].block(); });
        }
        co_return;
    };
    rt.block_on([&]() -> task<> { co_await with_scope([&](scope& s) { return level(level, s, 0); }); });
    for (const auto& r : reached) EXPECT_TRUE(bool{r});
    EXPECT_EQ(rt.metrics().in_place, 0U);
}

TEST_F(BlockInPlace, BeyondTheLimitTheRestWaits) {
    auto o = options(1);
    o.max_stand_ins = 1;
    runtime limited{o};
    mark both, release;
    std::atomic<bool> third{false};
    std::thread outside([&] {
        both.block();
        EXPECT_FALSE(third);  // all threads block
        release.set();
    });
    limited.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            s.spawn([&]() -> task<> {
                s.spawn([&]() -> task<> {
                    third = true;
                    co_return;
                });
                block_in_place([&] {
                    both.set();
                    release.block();
                });
                co_return;
            });
            block_in_place([&] { release.block(); });
            co_return;
        });
    });
    outside.join();
    EXPECT_TRUE(third);
    EXPECT_EQ(limited.metrics().stand_ins, 1U);
}

TEST_F(BlockInPlace, ShortSectionsDoNotKeepTheWatchdogFromALongOne) {
    mark timer;
    std::atomic<bool> done{false};
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            s.spawn([&]() -> task<> {
                co_await sleep_for(2ms);  // in the wheel of the worker that blocks
                timer.set();
            });
            co_await yield();
            co_await yield();
            s.spawn([&]() -> task<> {
                while (!done) {
                    block_in_place([] {});
                    co_await yield();
                }
            });
            block_in_place([&] { timer.block(); });
            done = true;
        });
    });
}

TEST_F(BlockInPlace, ADeadlineReachesTheFunctionThoughAllThreadsBlock) {
    auto o = options(1);
    o.max_stand_ins = 0;
    runtime alone{o};
    alone.block_on([]() -> task<> {
        auto waits = []() -> task<> {
            block_in_place([stop = this_task::stop_token()] { block_until_stopped(stop); });
            co_return;
        };
        EXPECT_NO_THROW(co_await try_timeout(2ms, waits()));
    });
}

TEST_F(BlockInPlace, ARelievedStandInThatIsStuckIsTakenOver) {
    mark hogs, timer;
    rt.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            s.spawn([&]() -> task<> {
                s.spawn([&]() -> task<> {
                    co_await sleep_for(2ms);  // in the stand-in's wheel
                    timer.set();
                });
                co_await yield();
                co_await yield();
                hogs.set();
                timer.block();  // in one poll of the stand-in
            });
            block_in_place([&] { hogs.block(); });
            co_return;
        });
    });
}

TEST_F(BlockInPlace, WithNoStandInsAnIdleNeighbourHelps) {
    auto o = options(2);
    o.max_stand_ins = 0;
    runtime two{o};
    two.block_on(block_until_another_ran(1ms));
    EXPECT_EQ(two.metrics().stand_ins, 0U);
}

TEST_F(BlockInPlace, WorksWhereTakeoverIsSwitchedOff) {
    auto o = options(1);
    o.takeover_tick = 0ns;
    runtime off{o};
    off.block_on(block_until_another_ran(1ms));
}

TEST_F(BlockInPlace, ManySectionsOfAllLengthsOnAllWorkers) {
    runtime three{options(3)};
    std::atomic<int> done{0};
    constexpr int tasks = 60, sections = 20;
    three.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            for (int t = 0; t < tasks; ++t) {
                s.spawn([&, t]() -> task<> {
                    for (int i = 0; i < sections; ++i) {
                        block_in_place([&] {
                            if ((t + i) % 7 == 0) std::this_thread::sleep_for(std::chrono::microseconds{100 * ((t * i) % 13)});
                        });
                        if (i % 3 == 0) {
                            co_await sleep_for(50us);
                        } else {
                            co_await yield();
                        }
                        ++done;
                    }
                });
            }
            co_return;
        });
    });
    EXPECT_EQ(done, tasks * sections);
    auto m = three.metrics();
    EXPECT_EQ(m.in_place, 0U);
    EXPECT_LE(m.stand_ins, 8U);
    EXPECT_EQ(three.workers(), 3U);
}

// ---- guardrails, hooks, the end --------------------------------------------------------------------------------

TEST_F(BlockInPlace, ALongSectionIsNoBlockedWorker) {
    captured_reports captured;
    auto o = options(2);
    o.guardrails = "stall=log:10ms";
    {
        runtime watched{o};
        watched.block_on(block_until_another_ran(60ms));
    }
    EXPECT_EQ(captured.sink->written(), 0U);
}

TEST_F(BlockInPlace, HooksRunOnStandInsToo) {
    auto o = options(1);
    std::mutex lock;
    std::set<unsigned> started, stopped;
    o.on_worker_start = [&](unsigned index) {
        std::scoped_lock guard(lock);
        started.insert(index);
    };
    o.on_worker_stop = [&](unsigned index) {
        std::scoped_lock guard(lock);
        stopped.insert(index);
    };
    {
        runtime hooked{o};
        hooked.block_on(block_until_another_ran());
    }
    EXPECT_EQ(started, (std::set<unsigned>{0, 1}));
    EXPECT_EQ(stopped, started);
}

TEST_F(BlockInPlace, AHookThatThrowsOnAStandInIsReportedAndTriedAgain) {
    captured_reports captured;
    auto o = options(1);
    o.guardrails = "stall=off,error=log";
    std::atomic<int> tries{0};
    o.on_worker_start = [&](unsigned index) {
        if (index == 1 && ++tries == 1) throw std::runtime_error("no stand-in yet");
    };
    {
        runtime hooked{o};
        hooked.block_on(block_until_another_ran());
        EXPECT_EQ(hooked.metrics().stand_ins, 1U);
    }
    EXPECT_EQ(tries, 2);
    auto reports = captured.sink->of(guardrail::lost_error);
    ASSERT_EQ(reports.size(), 1U);
    EXPECT_NE(reports[0].what.find("no stand-in yet"), std::string::npos);
    EXPECT_EQ(missing_part(reports[0]), "");
}

TEST_F(BlockInPlace, AShutdownDuringASectionWaitsForIt) {
    mark blocks;
    std::atomic<bool> ended{false};
    rt.spawn([&]() -> task<> {
        block_in_place([&] {
            auto stop = this_task::stop_token();
            blocks.set();
            block_until_stopped(stop);  // the shutdown has begun
            for (int i = 0; i < 20; ++i) std::this_thread::yield();
            ended = true;
        });
        co_return;
    });
    blocks.block();
    EXPECT_EQ(rt.shutdown(60s).abandoned, 0U);
    EXPECT_TRUE(ended);
}

}  // namespace
}  // namespace belay
