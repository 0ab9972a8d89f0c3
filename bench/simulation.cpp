// What simulated time costs in real time: a step of a task, an hour with 1,000 timers, a message over the simulated network, and how long it
// takes to find the planted mistakes of tests/kit/planted and make them simple.
#include <belay/io/sim_network.hpp>
#include <belay/io/tcp_listener.hpp>
#include <belay/io/tcp_stream.hpp>
#include <belay/runtime/simulation.hpp>
#include <belay/runtime/sleep.hpp>
#include <belay/runtime/when_all.hpp>
#include <belay/runtime/yield.hpp>
#include <belay/sync/channel.hpp>
#include <belay/tests/kit/explore.hpp>
#include <belay/tests/kit/planted/lock_order.hpp>
#include <belay/tests/kit/planted/lost_message.hpp>
#include <belay/tests/kit/planted/lost_wakeup.hpp>

#include <benchmark/benchmark.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <random>

namespace {

using namespace std::chrono_literals;

belay::task<> spin(std::size_t times) {
    for (std::size_t i = 0; i < times; ++i) co_await belay::yield();
}

/// A step: so many tasks that are ready all the time, chosen by the seed or by priority.
void steps(benchmark::State& state) {
    auto tasks = static_cast<std::size_t>(state.range(0));
    auto how = state.range(1) != 0 ? belay::interleaving::pct : belay::interleaving::uniform;
    constexpr std::size_t batch = 100'000;
    while (state.KeepRunningBatch(batch)) {
        // Not around the loop: while it lives, the clock of the benchmark is its own.
        belay::simulation sim{{.how = how, .expected_steps = batch, .max_steps = 2 * batch + 10 * tasks}};
        sim.block_on([&]() -> belay::task<> {
            co_await belay::with_scope([&](belay::scope& s) -> belay::task<> {
                for (std::size_t i = 0; i < tasks; ++i) s.spawn(spin, batch / tasks);
                co_return;
            });
        });
    }
}
BENCHMARK(steps)->ArgNames({"tasks", "pct"})->ArgsProduct({{2, 10, 1'000}, {0, 1}})->UseRealTime();

/// A message from one task to another through a channel for eight.
void messages(benchmark::State& state) {
    constexpr int batch = 10'000;
    while (state.KeepRunningBatch(batch)) {
        belay::simulation sim{{.max_steps = 10'000'000}};
        sim.block_on([&]() -> belay::task<> {
            auto [tx, rx] = belay::channel<int>(8);
            co_await belay::with_scope([&](belay::scope& s) -> belay::task<> {
                s.spawn(
                    [](belay::sender<int> to) -> belay::task<> {
                        for (int i = 0; i < batch; ++i) co_await to.send(i);
                    },
                    std::move(tx));
                while (co_await rx.recv()) {}
            });
        });
    }
}
BENCHMARK(messages)->UseRealTime();

/// An hour in which each of 1,000 tasks sleeps once a minute, at times of its own.
void hour(benchmark::State& state) {
    std::size_t steps = 0;
    for (auto _ : state) {
        belay::simulation sim{{.max_steps = 10'000'000}};
        sim.block_on([]() -> belay::task<> {
            co_await belay::with_scope([](belay::scope& s) -> belay::task<> {
                for (int i = 0; i < 1'000; ++i) {
                    s.spawn([i]() -> belay::task<> {
                        for (int minute = 0; minute < 60; ++minute) co_await belay::sleep_for(59s + std::chrono::milliseconds{i});
                    });
                }
                co_return;
            });
        });
        steps = sim.steps();
    }
    state.counters["steps"] = static_cast<double>(steps);
}
BENCHMARK(hour)->Unit(benchmark::kMillisecond)->UseRealTime();

/// 64 bytes there and back over a connection of the simulated network.
void echo(benchmark::State& state) {
    constexpr int batch = 1'000;
    while (state.KeepRunningBatch(batch)) {
        belay::simulation sim{{.max_steps = 10'000'000}};
        belay::io::sim_network::of(sim).set_faults({.short_transfer = 0});
        sim.block_on([]() -> belay::task<> {
            auto listener = belay::io::tcp_listener::bind("10.0.0.1:80");
            auto [client, server] = co_await belay::when_all(belay::io::tcp_stream::connect(listener.local()), listener.accept());
            auto side = [](belay::io::tcp_stream& stream, bool first) -> belay::task<> {
                std::array<std::byte, 64> bytes{};
                for (int i = 0; i < batch; ++i) {
                    if (first) co_await stream.write_all(bytes);
                    co_await stream.read_exact(bytes);
                    if (!first) co_await stream.write_all(bytes);
                }
            };
            co_await belay::when_all(side(client, true), side(server, false));
        });
    }
}
BENCHMARK(echo)->UseRealTime();

/// From a random first seed until it is found and simple.
void find(benchmark::State& state, const belay::kit::program& planted) {
    std::mt19937_64 seeds{7};
    std::size_t runs = 0;
    for (auto _ : state) {
        auto result = belay::kit::explore(
            {.seeds = 10'000, .sim = {.seed = seeds() >> 1U, .guardrails = "all=callback,error=off,order=off"}}, planted);
        if (!result.failure) return state.SkipWithError("the planted mistake was not found");
        runs += result.runs;
    }
    state.counters["seeds"] = benchmark::Counter(static_cast<double>(runs), benchmark::Counter::kAvgIterations);
}
BENCHMARK_CAPTURE(find, lost_wakeup, belay::planted::lost_wakeup)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK_CAPTURE(find, lock_order, belay::planted::lock_order)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK_CAPTURE(find, lost_message, belay::planted::lost_message)->Unit(benchmark::kMillisecond)->UseRealTime();

}  // namespace

BENCHMARK_MAIN();
