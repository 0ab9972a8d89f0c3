// Children of a scope: spawning one, running it and joining it. Per child.
#include <belay/bench/measure.hpp>
#include <belay/runtime/scope.hpp>

namespace {

constexpr int crowd = 1000;

belay::task<> nothing() { co_return; }

belay::task<> spawn_many_and_join(benchmark::State& state) {
    while (state.KeepRunningBatch(crowd)) {
        co_await belay::with_scope([](belay::scope& s) -> belay::task<> {
            for (int i = 0; i < crowd; ++i) s.spawn(nothing);
            co_return;
        });
    }
}
BENCHMARK(bench::on_workers<spawn_many_and_join>)->Name("spawn_many_and_join")->Apply(bench::with_1_and_2_workers);

// The least parallel way: each child is awaited before the next one. With two workers the thief is always too late.
belay::task<> spawn_one_and_join(benchmark::State& state) {
    co_await belay::with_scope([&](belay::scope& s) -> belay::task<> {
        for (auto _ : state) {
            auto child = s.spawn(nothing);
            co_await child.join();
        }
    });
}
BENCHMARK(bench::on_workers<spawn_one_and_join>)->Name("spawn_one_and_join")->Apply(bench::with_1_and_2_workers);

}  // namespace

BENCHMARK_MAIN();
