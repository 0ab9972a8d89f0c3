// What the guardrails cost on tasks of known length; bench/gate runs it against a build without them. Per task.
#include <belay/bench/measure.hpp>
#include <belay/runtime/scope.hpp>

#include <cstdint>

namespace {

constexpr int crowd = 1000;

// A microsecond or so of dependent multiplications, the same in both builds.
constexpr int multiplications = 975;

belay::task<> nothing() { co_return; }

belay::task<> compute() {
    std::uint64_t x = 1;
    for (int i = 0; i < multiplications; ++i) {
        x = x * 6364136223846793005U + 1442695040888963407U;
        asm volatile("" : "+r"(x));  // else several steps become one
    }
    co_return;
}

template <belay::task<> (*Work)()>
belay::task<> spawn_and_join(benchmark::State& state) {
    while (state.KeepRunningBatch(crowd)) {
        co_await belay::with_scope([](belay::scope& s) -> belay::task<> {
            for (int i = 0; i < crowd; ++i) s.spawn(Work);
            co_return;
        });
    }
}
BENCHMARK(bench::on_workers<spawn_and_join<nothing>>)->Name("empty")->Apply(bench::with_1_worker);
BENCHMARK(bench::on_workers<spawn_and_join<compute>>)->Name("microsecond")->Apply(bench::with_1_worker);

}  // namespace

BENCHMARK_MAIN();
