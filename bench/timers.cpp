// Sleeping: what a timer costs that never fires, and what many cost that do. detail_structures has the wheel by itself.
#include <belay/bench/measure.hpp>
#include <belay/runtime/scope.hpp>
#include <belay/runtime/sleep.hpp>

#include <chrono>
#include <cstdint>

namespace {

using namespace std::chrono_literals;

// An empty scope, and one with a deadline: the difference is one timer, armed and cancelled.
belay::task<> nothing(belay::scope&) { co_return; }

belay::task<> scope_alone(benchmark::State& state) {
    for (auto _ : state) co_await belay::with_scope(nothing);
}
BENCHMARK(bench::on_workers<scope_alone>)->Name("scope/no_deadline")->Apply(bench::with_1_worker);

belay::task<> scope_with_deadline(benchmark::State& state) {
    for (auto _ : state) co_await belay::with_scope({.deadline = 1h}, nothing);
}
BENCHMARK(bench::on_workers<scope_with_deadline>)->Name("scope/deadline_not_reached")->Apply(bench::with_1_worker);

constexpr int sleepers = 10'000;

// Per sleeper: spawned, asleep, stopped, unwound.
belay::task<> stop_sleepers(benchmark::State& state) {
    while (state.KeepRunningBatch(sleepers)) {
        co_await belay::with_scope([](belay::scope& s) -> belay::task<> {
            for (int i = 0; i < sleepers; ++i) s.spawn([]() -> belay::task<> { co_await belay::sleep_for(1h); });
            co_await belay::sleep_for(0s);  // they run first
            s.request_stop();
        });
    }
}
BENCHMARK(bench::on_workers<stop_sleepers>)->Name("sleep/stopped")->Apply(bench::with_1_and_2_workers);

// Per sleeper, all within 20 ms. Read the CPU column: the wall time is that of the longest sleep.
belay::task<> sleep_through(benchmark::State& state) {
    while (state.KeepRunningBatch(sleepers)) {
        co_await belay::with_scope([](belay::scope& s) -> belay::task<> {
            auto start = std::chrono::steady_clock::now();
            for (std::uint64_t i = 0; i < sleepers; ++i) {
                auto until = start + std::chrono::microseconds{i * 2'654'435'761U % 20'000};  // in no order
                s.spawn([until]() -> belay::task<> { co_await belay::sleep_until(until); });
            }
            co_return;
        });
    }
}
BENCHMARK(bench::on_workers<sleep_through>)->Name("sleep/10000_at_once")->Apply(bench::with_1_and_2_workers);

// The wall time minus 1 ms is how late a sleeping worker wakes its task.
belay::task<> sleep_1_ms(benchmark::State& state) {
    for (auto _ : state) co_await belay::sleep_for(1ms);
}
BENCHMARK(bench::on_workers<sleep_1_ms>)->Name("sleep/1_ms")->Apply(bench::with_1_worker)->Unit(benchmark::kMicrosecond);

}  // namespace

BENCHMARK_MAIN();
