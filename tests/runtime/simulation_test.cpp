// The third flavour: the seed decides what runs next, time costs nothing, and what can never go on is told at once.
#include <belay/runtime/simulation.hpp>

#include <belay/runtime/block_in_place.hpp>
#include <belay/runtime/blocking.hpp>
#include <belay/runtime/cpu_pool.hpp>
#include <belay/runtime/local_runtime.hpp>
#include <belay/runtime/retry.hpp>
#include <belay/runtime/shield.hpp>
#include <belay/runtime/sleep.hpp>
#include <belay/runtime/this_task.hpp>
#include <belay/runtime/timeout.hpp>
#include <belay/runtime/when_all.hpp>
#include <belay/sync/channel.hpp>
#include <belay/sync/event.hpp>
#include <belay/sync/mutex.hpp>
#include <belay/sync/select.hpp>
#include <belay/tests/runtime/support.hpp>

#include <set>
#include <stdexcept>

namespace belay {
namespace {

using namespace test;

class Simulation : public Suite {};

/// The results of a program under many seeds.
template <class F>
auto results(std::uint64_t seeds, F program, simulation_options options = {}) {
    std::set<std::invoke_result_t<F, simulation&>> all;
    for (options.seed = 0; options.seed < seeds; ++options.seed) {
        simulation sim{options};
        all.insert(program(sim));
    }
    return all;
}

task<> append(std::string& to, char what, int times) {
    for (int i = 0; i < times; ++i) {
        co_await yield();
        to += what;
    }
}

task<std::string> two_writers() {
    std::string text;
    co_await with_scope([&](scope& s) -> task<> {
        s.spawn(append, std::ref(text), 'a', 3);
        s.spawn(append, std::ref(text), 'b', 3);
        co_return;
    });
    co_return text;
}

// ---- as a runtime ------------------------------------------------------------------------------------------------

TEST_F(Simulation, BlockOnReturnsTheValueAndRethrowsTheError) {
    simulation sim;
    EXPECT_EQ(sim.block_on([]() -> task<int> { co_return 7; }), 7);
    EXPECT_THROW(sim.block_on([]() -> task<> {
        co_await yield();
        throw std::runtime_error("mine");
    }),
                 std::runtime_error);
    EXPECT_EQ(sim.block_on([]() -> task<std::string> { co_return "again"; }), "again");
}

TEST_F(Simulation, SpawnedTasksRunWhileItIsDriven) {
    simulation sim;
    int ran = 0;
    auto handle = sim.spawn([&]() -> task<int> {
        ++ran;
        co_return 3;
    });
    EXPECT_EQ(ran, 0);
    EXPECT_EQ(sim.block_on([&]() -> task<int> { co_return co_await handle.join(); }), 3);
    EXPECT_EQ(ran, 1);
}

TEST_F(Simulation, ShutdownStopsAllTasks) {
    bool unwound = false;
    {
        simulation sim;
        sim.spawn([&]() -> task<> {
            struct mark {
                bool& at;
                ~mark() { at = true; }
            } here{unwound};
            co_await sleep_for(1h);
        });
        sim.block_on([]() -> task<> { co_await sleep_for(1ms); });
        EXPECT_FALSE(unwound);
        EXPECT_EQ(sim.shutdown(1s).abandoned, 0U);
        EXPECT_TRUE(unwound);
        EXPECT_THROW(sim.block_on([]() -> task<> { co_return; }), scope_closed);
    }
}

TEST_F(Simulation, PinnedTasksRunOnTheirWorkerAndOthersOnAll) {
    simulation sim{{.workers = 3}};
    std::set<std::size_t> seen;
    sim.block_on([&]() -> task<> {
        auto pinned = sim.spawn_on(worker_index{2}, []() -> task<> {
            for (int i = 0; i < 20; ++i) {
                EXPECT_EQ(this_task::worker(), 2U);
                co_await yield();
            }
        });
        for (int i = 0; i < 60; ++i) {
            seen.insert(this_task::worker().value());
            co_await yield();
        }
        co_await pinned.join();
    });
    EXPECT_EQ(seen, (std::set<std::size_t>{0, 1, 2}));
}

TEST_F(Simulation, WrongOptionsAreNamed) {
    EXPECT_THROW(simulation{{.workers = 0}}, std::invalid_argument);
    EXPECT_THROW(simulation{{.pct_depth = 0}}, std::invalid_argument);
    EXPECT_THROW(simulation{{.max_steps = 0}}, std::invalid_argument);
    EXPECT_THROW((simulation{{.step_time = -1ns}}), std::invalid_argument);
    simulation one;
    EXPECT_THROW(simulation{}, std::logic_error) << "one on a thread";
    std::thread([] { simulation{}.block_on([]() -> task<> { co_await sleep_for(1s); }); }).join();
}

// ---- time --------------------------------------------------------------------------------------------------------

TEST_F(Simulation, TimeJumpsToTheNextTimer) {
    simulation sim;
    std::vector<int> order;
    sim.block_on([&]() -> task<> {
        co_await with_scope([&](scope& s) -> task<> {
            for (int hours : {3, 1, 2}) {
                s.spawn([&, hours]() -> task<> {
                    co_await sleep_for(std::chrono::hours{hours});
                    order.push_back(hours);
                });
            }
            co_return;
        });
    });
    EXPECT_EQ(order, (std::vector{1, 2, 3}));
    EXPECT_GE(sim.elapsed(), 3h);
    EXPECT_LT(sim.elapsed(), 3h + 1s);
}

TEST_F(Simulation, StepsTakeTimeSoThatLoopsUntilADeadlineEnd) {
    simulation sim{{.step_time = 10us}};
    sim.block_on([]() -> task<> {
        auto result = co_await try_timeout(5ms, []() -> task<int> {
            for (;;) co_await yield();
        }());
        EXPECT_FALSE(result.has_value());
    });
}

TEST_F(Simulation, OfTwoThingsAtTheSameTimeEitherMayComeFirst) {
    auto program = [](simulation& sim) {
        return sim.block_on([]() -> task<bool> {
            auto value = co_await try_timeout(10ms, []() -> task<int> {
                co_await sleep_for(10ms);
                co_return 1;
            }());
            co_return value.has_value();
        });
    };
    EXPECT_EQ(results(100, program, {.step_time = 0ns}).size(), 2U);
}

TEST_F(Simulation, RealTimeIsUntouchedElsewhere) {
    simulation sim;
    sim.block_on([]() -> task<> { co_await sleep_for(100h); });
    std::thread([] {
        auto began = std::chrono::steady_clock::now();
        local_runtime{}.run_until([]() -> task<> { co_await sleep_for(2ms); });
        EXPECT_GE(std::chrono::steady_clock::now() - began, 2ms);
    }).join();
}

// ---- what the seed decides ---------------------------------------------------------------------------------------

TEST_F(Simulation, TheSameSeedGivesTheSameRun) {
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
        std::set<std::uint64_t> prints;
        std::set<std::string> texts;
        for (int i = 0; i < 2; ++i) {
            simulation sim{{.seed = seed}};
            texts.insert(sim.block_on(two_writers));
            prints.insert(sim.fingerprint());
        }
        EXPECT_EQ(prints.size(), 1U) << "seed " << seed;
        EXPECT_EQ(texts.size(), 1U) << "seed " << seed;
    }
}

TEST_F(Simulation, DifferentSeedsGiveAllInterleavings) {
    auto texts = results(2'000, [](simulation& sim) { return sim.block_on(two_writers); }, {.how = interleaving::uniform});
    EXPECT_EQ(texts.size(), 20U) << "6 over 3";
    auto by_priority = results(2'000, [](simulation& sim) { return sim.block_on(two_writers); },
                               {.how = interleaving::pct, .expected_steps = 12});
    EXPECT_GE(by_priority.size(), 10U);
    EXPECT_TRUE(by_priority.contains("aaabbb"));
    EXPECT_TRUE(by_priority.contains("bbbaaa"));
}

TEST_F(Simulation, NothingInterferesWithACalmRun) {
    auto texts = results(50, [](simulation& sim) { return sim.block_on(two_writers); }, {.how = interleaving::calm});
    EXPECT_EQ(texts, std::set<std::string>{"aaabbb"});
}

TEST_F(Simulation, ARunIsRepeatedFromItsSchedule) {
    auto run = [](const simulation_options& options) {
        simulation sim{options};
        std::string text = sim.block_on(two_writers);
        return std::tuple{text, sim.fingerprint(), sim.made()};
    };
    for (std::uint64_t seed = 0; seed < 30; ++seed) {
        auto first = run({.seed = seed});
        auto made = sim_schedule::parse(std::get<2>(first).to_string());
        EXPECT_EQ(run({.seed = seed, .replay = made}), first);
    }
}

TEST_F(Simulation, ASpanBetweenTwoAwaitsIsTheOnlyOneThatNobodyInterrupts) {
    // The lost update: a value that was read before an await is old after it.
    auto program = [](simulation& sim) {
        return sim.block_on([]() -> task<int> {
            int value = 0;
            mutex m;
            auto add = [](int& to, mutex& lock) -> task<> {
                int read = to;
                { auto guard = co_await lock.lock(); }  // free: it need not wait, and still another worker may come in between
                to = read + 1;
            };
            co_await when_all(add(value, m), add(value, m));
            co_return value;
        });
    };
    EXPECT_EQ(results(100, program), (std::set{1, 2}));
    EXPECT_EQ(results(100, program, {.how = interleaving::calm}), std::set{2});
}

TEST_F(Simulation, SelectIsFairBySeed) {
    auto program = [](simulation& sim) {
        return sim.block_on([]() -> task<std::size_t> {
            event one;
            event two;
            one.set();
            two.set();
            auto got = co_await select(one.wait(), two.wait());
            co_return got.index();
        });
    };
    EXPECT_EQ(results(50, program).size(), 2U);
}

TEST_F(Simulation, RetriesPauseAlikeUnderTheSameSeed) {
    auto run = [](std::uint64_t seed) {
        simulation sim{{.seed = seed}};
        int left = 4;
        sim.block_on([&]() -> task<> {
            co_await retry({.attempts = 5}, [&]() -> task<> {
                co_await yield();
                if (left-- > 0) throw std::runtime_error("not yet");
            });
        });
        return sim.elapsed();
    };
    EXPECT_EQ(run(3), run(3));
}

// ---- what cannot end ---------------------------------------------------------------------------------------------

TEST_F(Simulation, ADeadlockIsToldAtOnceWithWhatEachTaskWaitsOn) {
    simulation sim;
    mutex one;
    mutex two;
    auto both = [](mutex& first, mutex& second, event& ready, event& go) -> task<> {
        auto outer = co_await first.lock();
        ready.set();
        co_await go.wait();
        auto inner = co_await second.lock();
    };
    std::string said;
    try {
        sim.block_on([&]() -> task<> {
            event a;
            event b;
            co_await with_scope([&](scope& s) -> task<> {
                s.spawn([&]() -> task<> {
                    this_task::set_name("left");
                    co_await both(one, two, a, b);
                });
                s.spawn([&]() -> task<> {
                    this_task::set_name("right");
                    co_await both(two, one, b, a);
                });
                co_return;
            });
        });
        FAIL() << "it ended";
    } catch (const simulation_error& error) {
        EXPECT_EQ(error.why(), simulation_error::cause::deadlock);
        said = error.what();
    }
    EXPECT_NE(said.find("\"left\", spawned at simulation_test.cpp:"), said.npos) << said;
    EXPECT_NE(said.find("\"right\", spawned at simulation_test.cpp:"), said.npos) << said;
    EXPECT_NE(said.find("waits on mutex.lock at simulation_test.cpp:"), said.npos) << said;
    // All of them were stopped: nothing is left, and the simulation can go on.
    EXPECT_EQ(sim.block_on([]() -> task<int> { co_return 1; }), 1);
}

TEST_F(Simulation, AProgramThatNeverEndsIsEnded) {
    simulation sim{{.max_steps = 1'000}};
    try {
        sim.block_on([]() -> task<> {
            for (;;) co_await yield();
        });
        FAIL() << "it ended";
    } catch (const simulation_error& error) {
        EXPECT_EQ(error.why(), simulation_error::cause::too_many_steps);
        EXPECT_NE(std::string{error.what()}.find("1000 steps"), std::string::npos) << error.what();
    }
}

TEST_F(Simulation, AProgramMayBeStoppedAtAnyStep) {
    for (std::size_t k = 1;; ++k) {
        simulation* running = nullptr;
        bool stopped = false;
        simulation sim{{.seed = k, .on_step = [&](std::size_t step) {
                            if (step == k) stopped = running->stop_program();
                        }}};
        running = &sim;
        try {
            EXPECT_EQ(sim.block_on(two_writers).size(), 6U);
        } catch (const task_stopped&) {
            EXPECT_TRUE(stopped);
        }
        EXPECT_EQ(sim.shutdown(1s).abandoned, 0U);
        if (!stopped) {
            EXPECT_GT(k, 6U);
            break;
        }
    }
}

TEST_F(Simulation, WhatOnStepThrowsEndsTheSimulation) {
    bool resumed = false;
    {
        auto throws = [](std::size_t step) {
            if (step == 2) throw std::runtime_error("enough");
        };
        simulation sim{{.on_step = throws, .guardrails = "leak=off"}};
        event never;  // goes before the simulation
        EXPECT_THROW(sim.block_on([&]() -> task<> {
            co_await yield();
            co_await never.wait();
            resumed = true;
        }),
                     std::runtime_error);
        EXPECT_EQ(sim.shutdown(1s).abandoned, 1U) << "no task runs any more";
    }
    EXPECT_FALSE(resumed);
}

using SimulationDeathTest = Simulation;

TEST_F(SimulationDeathTest, OtherRuntimesOnItsThreadAreRefused) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");  // the statements start threads
    EXPECT_DEATH(
        {
            runtime rt{{.workers = 1}};
            simulation sim;
            rt.shutdown(1s);
        },
        "a runtime was shut down on a thread that has a simulation");
    EXPECT_DEATH(
        {
            local_runtime rt;
            simulation sim;
            rt.run_until([]() -> task<> { co_return; });
        },
        "a local_runtime was driven on a thread that has a simulation");
    simulation one;
    EXPECT_THROW(runtime{{.workers = 1}}, std::logic_error);
    EXPECT_DEATH(std::thread([&] { one.shutdown(1s); }).join(), "by another thread than the one that made it");
    EXPECT_DEATH(
        {
            simulation& sim = one;
            sim.block_on([&]() -> task<> {
                sim.block_on([]() -> task<> { co_return; });
                co_return;
            });
        },
        "block_on\\(\\) was called inside a task of the same simulation");
}

// ---- blocking functions ------------------------------------------------------------------------------------------

TEST_F(Simulation, BlockingFunctionsEndInTheOrderOfTheSeed) {
    auto program = [](simulation& sim) {
        return sim.block_on([]() -> task<std::string> {
            std::string order;
            auto call = [](std::string& to, char what) -> task<> { co_await spawn_blocking([&to, what] { to += what; }); };
            co_await when_all(call(order, 'a'), call(order, 'b'), call(order, 'c'));
            co_return order;
        });
    };
    EXPECT_EQ(results(300, program).size(), 6U) << "all orders of three";
    EXPECT_EQ(results(300, program, {.blocking_threads = 1}).size(), 6U) << "one thread, but they come in any order";
}

TEST_F(Simulation, AStopTakesBlockingFunctionsOutOfTheQueueAndLeavesThoseThatRun) {
    auto program = [](simulation& sim) {
        return sim.block_on([]() -> task<int> {
            int ran = 0;
            co_await with_scope([&](scope& s) -> task<> {
                for (int i = 0; i < 4; ++i) s.spawn([&]() -> task<> { co_await spawn_blocking([&] { ++ran; }); });
                co_await yield();
                s.request_stop();
            });
            co_return ran;
        });
    };
    auto ran = results(500, program, {.blocking_threads = 1});
    EXPECT_GE(ran.size(), 3U) << "some before, some never";
    EXPECT_TRUE(ran.contains(0));
}

TEST_F(Simulation, PoolsOfOnesOwnAndFunctionsInPlaceWork) {
    simulation sim;
    cpu_pool pool{sim, {.threads = 2}};
    blocking_pool database{sim, {.name = "db", .max_threads = 1, .max_queued = 1, .when_full = when_full::reject}};
    sim.block_on([&]() -> task<> {
        EXPECT_EQ(co_await pool.run([] { return 5; }), 5);
        EXPECT_EQ(block_in_place([] { return 6; }), 6);
        std::size_t full = 0;
        co_await with_scope([&](scope& s) -> task<> {
            for (int i = 0; i < 10; ++i) {
                s.spawn([&]() -> task<> {
                    try {
                        co_await database.run([] {});
                    } catch (const blocking_queue_full&) {
                        ++full;
                    }
                });
            }
            co_return;
        });
        EXPECT_EQ(database.metrics().completed + full, 10U);
    });
    EXPECT_EQ(pool.metrics().completed, 1U);
}

TEST_F(Simulation, ACleanupHasItsGraceInSimulatedTime) {
    simulation sim;
    bool cleaned = false;
    sim.spawn([&]() -> task<> {
        co_await shield([&]() -> task<> {
            co_await sleep_for(2s);
            cleaned = true;
        }());
    });
    sim.block_on([]() -> task<> { co_await sleep_for(1ms); });
    auto began = sim.elapsed();
    EXPECT_EQ(sim.shutdown(20s).abandoned, 0U);
    EXPECT_TRUE(cleaned);
    EXPECT_GE(sim.elapsed() - began, 1s);
}

// ---- schedules ---------------------------------------------------------------------------------------------------

TEST_F(Simulation, SchedulesAreText) {
    sim_schedule some{{{3, 1}, {17, 40}}};
    EXPECT_EQ(some.to_string(), "3:1 17:40");
    EXPECT_EQ(sim_schedule::parse("3:1  17:40 "), some);
    EXPECT_EQ(sim_schedule{}.to_string(), "-");
    EXPECT_EQ(sim_schedule::parse("-"), sim_schedule{});
    for (const char* wrong : {"3", "3:", ":1", "3:0", "3:1 3:2", "4:1 3:1", "x:1", "3:1x", "99999999999:1"})
        EXPECT_THROW(sim_schedule::parse(wrong), std::invalid_argument) << wrong;
}

TEST_F(Simulation, ATraceSaysWhatEachStepDid) {
    simulation sim{{.trace = true}};
    sim.block_on([]() -> task<> {
        this_task::set_name("root");
        co_await sleep_for(1ms);
        co_await spawn_blocking([] {});
    });
    ASSERT_EQ(sim.trace().size(), sim.steps());
    std::multiset<std::string> kinds;
    for (const sim_step& step : sim.trace()) kinds.insert(step.what);
    EXPECT_EQ(kinds, (std::multiset<std::string>{"blocking function", "task", "task", "task", "timers"}));
    EXPECT_STREQ(sim.trace().back().name.data(), "root");
    EXPECT_NE(std::string_view{sim.trace().back().place.file_name()}.find("simulation_test.cpp"), std::string_view::npos);
}

}  // namespace
}  // namespace belay
