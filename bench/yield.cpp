// yield(): once through the worker's queue, when it is empty and when it is not. Per yield.
#include <belay/bench/measure.hpp>
#include <belay/runtime/scope.hpp>
#include <belay/runtime/yield.hpp>

namespace {

belay::task<> alone(benchmark::State& state) {
    for (auto _ : state) co_await belay::yield();
}
BENCHMARK(bench::on_workers<alone>)->Name("yield/1_task")->Apply(bench::with_1_and_2_workers);

constexpr int tasks = 100;
constexpr int yields = 1000;  // of each: the cost of spawning disappears among them

belay::task<> yield_often() {
    for (int i = 0; i < yields; ++i) co_await belay::yield();
}

belay::task<> in_a_crowd(benchmark::State& state) {
    while (state.KeepRunningBatch(tasks * yields)) {
        co_await belay::with_scope([](belay::scope& s) -> belay::task<> {
            for (int i = 0; i < tasks; ++i) s.spawn(yield_often);
            co_return;
        });
    }
}
BENCHMARK(bench::on_workers<in_a_crowd>)->Name("yield/100_tasks")->Apply(bench::with_1_and_2_workers);

// The same, pinned, a part of them to each worker.
belay::task<> pinned(benchmark::State& state) {
    const std::size_t workers = bench::measured_runtime().workers();
    while (state.KeepRunningBatch(tasks * yields)) {
        co_await belay::with_scope([&](belay::scope& s) -> belay::task<> {
            for (std::size_t i = 0; i < tasks; ++i) s.spawn_on(i % workers, yield_often);
            co_return;
        });
    }
}
BENCHMARK(bench::on_workers<pinned>)->Name("yield/100_pinned_tasks")->Apply(bench::with_1_and_2_workers);

// What a loop that computes pays for staying stoppable.
belay::task<> checkpoint(benchmark::State& state) {
    for (auto _ : state) co_await belay::checkpoint();
}
BENCHMARK(bench::on_workers<checkpoint>)->Name("checkpoint")->Apply(bench::with_1_worker);

}  // namespace

BENCHMARK_MAIN();
