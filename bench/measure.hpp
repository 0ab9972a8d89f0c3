// What the benchmarks share: a runtime to measure on, and both clocks.
//
//     belay::task<> yield(benchmark::State& state) {
//         for (auto _ : state) co_await belay::yield();
//     }
//     BENCHMARK(bench::on_workers<yield>)->Name("yield")->Apply(bench::with_1_and_2_workers);
//
// A benchmark whose round is many operations loops with KeepRunningBatch, so that every column is for one operation.
#pragma once

#include <belay/runtime/runtime.hpp>
#include <belay/runtime/task.hpp>

#include <benchmark/benchmark.h>

namespace bench {

/// The runtime of the benchmark that runs, for what needs to be made with one.
inline belay::runtime*& current_runtime() {
    static belay::runtime* current = nullptr;
    return current;
}
inline belay::runtime& measured_runtime() { return *current_runtime(); }

/// Runs a task that measures. The first argument of the benchmark is the number of workers.
template <belay::task<> (*Measured)(benchmark::State&)>
void on_workers(benchmark::State& state) {
    // A loop of awaits that never suspend is a blocked worker, and the guardrail would say so; it stays on, because it is by
    // default and has its cost.
    belay::runtime runtime{{.workers = static_cast<unsigned>(state.range(0)), .guardrails = "stall=log:60s"}};
    current_runtime() = &runtime;
    runtime.block_on(Measured(state));
}

/// CPU is that of the whole process: the thread that Google Benchmark would measure only waits for the workers.
inline void with_both_clocks(benchmark::internal::Benchmark* b) { b->UseRealTime()->MeasureProcessCPUTime(); }

inline void with_1_worker(benchmark::internal::Benchmark* b) { b->ArgName("workers")->Arg(1)->Apply(with_both_clocks); }
inline void with_1_and_2_workers(benchmark::internal::Benchmark* b) {
    b->ArgName("workers")->Arg(1)->Arg(2)->Apply(with_both_clocks);
}

}  // namespace bench
