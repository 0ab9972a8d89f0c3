// spawn_blocking of a function that does nothing: there and back. Per call.
#include <belay/bench/measure.hpp>
#include <belay/runtime/blocking.hpp>
#include <belay/runtime/scope.hpp>

namespace {

// One call at a time: the latency of waking a pool thread and then the worker.
belay::task<> round_trip(benchmark::State& state) {
    for (auto _ : state) co_await belay::spawn_blocking([] {});
}
BENCHMARK(bench::on_workers<round_trip>)->Name("spawn_blocking/1_caller")->Apply(bench::with_1_and_2_workers);

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

}  // namespace

BENCHMARK_MAIN();
