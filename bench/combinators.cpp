// What an item costs that goes through a map or an async_generator; the plain await and the plain loop are the measures.
#include <belay/bench/measure.hpp>
#include <belay/runtime/async_generator.hpp>
#include <belay/runtime/for_each.hpp>
#include <belay/runtime/map.hpp>
#include <belay/runtime/when_all.hpp>
#include <belay/runtime/yield.hpp>
#include <belay/sync/map_unordered.hpp>

#include <ranges>
#include <vector>

namespace {

constexpr int items = 10'000;

belay::task<int> ready(int n) { co_return n; }
belay::task<int> suspends(int n) {
    co_await belay::yield();
    co_return n;
}

template <belay::task<int> (*F)(int)>
belay::task<> one_by_one(benchmark::State& state) {
    while (state.KeepRunningBatch(items))
        for (int i = 0; i < items; ++i) benchmark::DoNotOptimize(co_await F(i));
}
BENCHMARK(bench::on_workers<one_by_one<ready>>)->Name("await/ready")->Apply(bench::with_1_worker);
BENCHMARK(bench::on_workers<one_by_one<suspends>>)->Name("await/yields")->Apply(bench::with_1_worker);

template <belay::task<int> (*F)(int)>
belay::task<> map_16(benchmark::State& state) {
    while (state.KeepRunningBatch(items))
        benchmark::DoNotOptimize(co_await belay::map(std::views::iota(0, items), belay::at_most(16), F));
}
BENCHMARK(bench::on_workers<map_16<ready>>)->Name("map/ready")->Apply(bench::with_1_and_2_workers);
BENCHMARK(bench::on_workers<map_16<suspends>>)->Name("map/yields")->Apply(bench::with_1_and_2_workers);

belay::task<> for_each_16(benchmark::State& state) {
    auto work = [](int) -> belay::task<> { co_await belay::yield(); };
    while (state.KeepRunningBatch(items)) co_await belay::for_each(std::views::iota(0, items), belay::at_most(16), work);
}
BENCHMARK(bench::on_workers<for_each_16>)->Name("for_each/yields")->Apply(bench::with_1_and_2_workers);

belay::task<> map_unordered_16(benchmark::State& state) {
    int sum = 0;
    auto consume = [&](int n) { sum ^= n; };
    while (state.KeepRunningBatch(items))
        co_await belay::map_unordered(std::views::iota(0, items), belay::at_most(16), suspends, consume);
    benchmark::DoNotOptimize(sum);
}
BENCHMARK(bench::on_workers<map_unordered_16>)->Name("map_unordered/yields")->Apply(bench::with_1_and_2_workers);

// The shortest range: what the call itself costs.
belay::task<> map_of_one(benchmark::State& state) {
    for (auto _ : state) benchmark::DoNotOptimize(co_await belay::map(std::views::iota(0, 1), belay::at_most(16), ready));
}
BENCHMARK(bench::on_workers<map_of_one>)->Name("map/of_one")->Apply(bench::with_1_worker);

belay::task<> when_all_of_a_range(benchmark::State& state) {
    while (state.KeepRunningBatch(items)) {
        std::vector<belay::task<int>> tasks;
        tasks.reserve(items);
        for (int i = 0; i < items; ++i) tasks.push_back(suspends(i));
        benchmark::DoNotOptimize(co_await belay::when_all(std::move(tasks), belay::at_most(16)));
    }
}
BENCHMARK(bench::on_workers<when_all_of_a_range>)->Name("when_all/range")->Apply(bench::with_1_and_2_workers);

belay::async_generator<int> count(int n) {
    for (int i = 0; i < n; ++i) co_yield int{i};
}
belay::async_generator<int> through(belay::async_generator<int> from) {
    while (auto item = co_await from.next()) co_yield std::move(*item);
}

belay::task<> generator(benchmark::State& state) {
    while (state.KeepRunningBatch(items)) {
        auto numbers = count(items);
        while (auto item = co_await numbers.next()) benchmark::DoNotOptimize(*item);
    }
}
BENCHMARK(bench::on_workers<generator>)->Name("async_generator")->Apply(bench::with_1_worker);

belay::task<> nested_generators(benchmark::State& state) {
    while (state.KeepRunningBatch(items)) {
        auto numbers = through(count(items));
        while (auto item = co_await numbers.next()) benchmark::DoNotOptimize(*item);
    }
}
BENCHMARK(bench::on_workers<nested_generators>)->Name("async_generator/nested")->Apply(bench::with_1_worker);

belay::task<> map_from_generator(benchmark::State& state) {
    while (state.KeepRunningBatch(items))
        benchmark::DoNotOptimize(co_await belay::map(count(items), belay::at_most(16), suspends));
}
BENCHMARK(bench::on_workers<map_from_generator>)->Name("map/from_generator")->Apply(bench::with_1_and_2_workers);

}  // namespace

BENCHMARK_MAIN();
