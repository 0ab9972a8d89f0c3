// What each boundary around a task adds to awaiting the task itself, which is the first line. Nothing suspends here.
#include <belay/bench/measure.hpp>
#include <belay/runtime/scope.hpp>
#include <belay/runtime/shield.hpp>
#include <belay/runtime/timeout.hpp>
#include <belay/runtime/when_all.hpp>
#include <belay/runtime/when_any.hpp>

#include <chrono>

namespace {

using namespace std::chrono_literals;

belay::task<int> one() { co_return 1; }

belay::task<> await(benchmark::State& state) {
    for (auto _ : state) benchmark::DoNotOptimize(co_await one());
}
BENCHMARK(bench::on_workers<await>)->Name("await")->Apply(bench::with_1_worker);

belay::task<> with_scope(benchmark::State& state) {
    for (auto _ : state) benchmark::DoNotOptimize(co_await belay::with_scope([](belay::scope&) { return one(); }));
}
BENCHMARK(bench::on_workers<with_scope>)->Name("with_scope")->Apply(bench::with_1_worker);

belay::task<> timeout(benchmark::State& state) {
    for (auto _ : state) benchmark::DoNotOptimize(co_await belay::timeout(1h, one()));
}
BENCHMARK(bench::on_workers<timeout>)->Name("timeout")->Apply(bench::with_1_worker);

// An enclosing deadline that comes first costs no timer.
belay::task<> nested_timeout(benchmark::State& state) {
    auto inner = [&]() -> belay::task<> {
        for (auto _ : state) benchmark::DoNotOptimize(co_await belay::timeout(2h, one()));
    };
    co_await belay::timeout(1h, inner());
}
BENCHMARK(bench::on_workers<nested_timeout>)->Name("timeout/inside_a_shorter_one")->Apply(bench::with_1_worker);

belay::task<> try_timeout(benchmark::State& state) {
    for (auto _ : state) benchmark::DoNotOptimize(co_await belay::try_timeout(1h, one()));
}
BENCHMARK(bench::on_workers<try_timeout>)->Name("try_timeout")->Apply(bench::with_1_worker);

belay::task<> shield(benchmark::State& state) {
    for (auto _ : state) benchmark::DoNotOptimize(co_await belay::shield(one()));
}
BENCHMARK(bench::on_workers<shield>)->Name("shield")->Apply(bench::with_1_worker);

belay::task<> when_all(benchmark::State& state) {
    for (auto _ : state) benchmark::DoNotOptimize(co_await belay::when_all(one(), one()));
}
BENCHMARK(bench::on_workers<when_all>)->Name("when_all/2")->Apply(bench::with_1_and_2_workers);

belay::task<> when_any(benchmark::State& state) {
    for (auto _ : state) benchmark::DoNotOptimize(co_await belay::when_any(one(), one()));
}
BENCHMARK(bench::on_workers<when_any>)->Name("when_any/2")->Apply(bench::with_1_and_2_workers);

}  // namespace

BENCHMARK_MAIN();
