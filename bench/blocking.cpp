// A function that does nothing, on a pool's thread, there and back; and in place. Per call.
#include <belay/bench/measure.hpp>
#include <belay/runtime/block_in_place.hpp>
#include <belay/runtime/blocking.hpp>
#include <belay/runtime/cpu_pool.hpp>
#include <belay/runtime/scope.hpp>
#include <belay/runtime/yield.hpp>

#include <atomic>
#include <stop_token>

namespace {

// One call at a time: the latency of waking a pool thread and then the worker.
belay::task<> round_trip(benchmark::State& state) {
    for (auto _ : state) co_await belay::spawn_blocking([] {});
}
BENCHMARK(bench::on_workers<round_trip>)->Name("spawn_blocking/1_caller")->Apply(bench::with_1_and_2_workers);

// The same, told of stops: what the token costs.
belay::task<> with_token(benchmark::State& state) {
    for (auto _ : state) co_await belay::spawn_blocking([](std::stop_token) {});
}
BENCHMARK(bench::on_workers<with_token>)->Name("spawn_blocking/1_caller_with_token")->Apply(bench::with_1_and_2_workers);

belay::task<> cpu_round_trip(benchmark::State& state) {
    belay::runtime& runtime = bench::measured_runtime();
    belay::cpu_pool pool{runtime};
    for (auto _ : state) co_await pool.run([] {});
}
BENCHMARK(bench::on_workers<cpu_round_trip>)->Name("cpu_pool/1_caller")->Apply(bench::with_1_and_2_workers);

// What a function pays that may block and mostly does not.
belay::task<> in_place(benchmark::State& state) {
    for (auto _ : state) belay::block_in_place([] { benchmark::ClobberMemory(); });
    co_return;
}
BENCHMARK(bench::on_workers<in_place>)->Name("block_in_place/does_not_block")->Apply(bench::with_1_and_2_workers);

// And one that blocks until another task, which only a stand-in can run, has run.
belay::task<> stand_in(benchmark::State& state) {
    co_await belay::with_scope([&](belay::scope& s) -> belay::task<> {
        for (auto _ : state) {
            std::atomic<bool> ran{false};
            s.spawn([&]() -> belay::task<> {
                ran.store(true);
                ran.notify_one();
                co_return;
            });
            belay::block_in_place([&] { ran.wait(false); });
            co_await belay::yield();
        }
    });
}
BENCHMARK(bench::on_workers<stand_in>)->Name("block_in_place/until_a_task_ran")->Apply(bench::with_1_worker);

constexpr int callers = 64;  // as many as the pool has threads by default
constexpr int calls = 50;    // of each

belay::task<> call() {
    for (int i = 0; i < calls; ++i) co_await belay::spawn_blocking([] {});
}

belay::task<> throughput(benchmark::State& state) {
    while (state.KeepRunningBatch(callers * calls)) {
        co_await belay::with_scope([](belay::scope& s) -> belay::task<> {
            for (int i = 0; i < callers; ++i) s.spawn(call);
            co_return;
        });
    }
}
BENCHMARK(bench::on_workers<throughput>)->Name("spawn_blocking/64_callers")->Apply(bench::with_1_and_2_workers);

belay::task<> call(belay::cpu_pool* pool) {
    for (int i = 0; i < calls; ++i) co_await pool->run([] {});
}

// With two threads instead of 64.
belay::task<> cpu_throughput(benchmark::State& state) {
    belay::cpu_pool pool{bench::measured_runtime(), {.threads = 2}};
    while (state.KeepRunningBatch(callers * calls)) {
        co_await belay::with_scope([&](belay::scope& s) -> belay::task<> {
            for (int i = 0; i < callers; ++i) s.spawn([&]() -> belay::task<> { co_await call(&pool); });
            co_return;
        });
    }
}
BENCHMARK(bench::on_workers<cpu_throughput>)->Name("cpu_pool/64_callers")->Apply(bench::with_1_and_2_workers);

}  // namespace

BENCHMARK_MAIN();
