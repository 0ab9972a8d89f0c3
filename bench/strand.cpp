// The strand around one increment, as bench/mutex.cpp has it around the same. Per function.
#include <belay/bench/measure.hpp>
#include <belay/runtime/scope.hpp>
#include <belay/runtime/strand.hpp>
#include <belay/runtime/yield.hpp>
#include <belay/sync/mutex.hpp>

#include <cstdint>

namespace {

belay::task<> uncontended(benchmark::State& state) {
    belay::strand strand;
    std::uint64_t total = 0;
    for (auto _ : state) co_await strand.run([&] { benchmark::DoNotOptimize(++total); });
}
BENCHMARK(bench::on_workers<uncontended>)->Name("strand/uncontended")->Apply(bench::with_1_worker);

belay::task<> coroutine(benchmark::State& state) {
    belay::strand strand;
    std::uint64_t total = 0;
    for (auto _ : state) {
        co_await strand.run([&]() -> belay::task<> {
            benchmark::DoNotOptimize(++total);
            co_return;
        });
    }
}
BENCHMARK(bench::on_workers<coroutine>)->Name("strand/coroutine")->Apply(bench::with_1_worker);

constexpr unsigned tasks = 8;
constexpr std::uint64_t functions = 5'000;  // of each

template <class Work>
belay::task<> contended(benchmark::State& state, Work work) {
    while (state.KeepRunningBatch(tasks * functions)) {
        std::uint64_t total = 0;
        co_await belay::with_scope([&](belay::scope& s) -> belay::task<> {
            for (unsigned i = 0; i < tasks; ++i) {
                s.spawn([&]() -> belay::task<> {
                    for (std::uint64_t n = 0; n < functions; ++n) co_await work(total);
                });
            }
            co_return;
        });
        if (total != tasks * functions) state.SkipWithError("an increment was lost");
    }
}

belay::task<> eight_tasks(benchmark::State& state) {
    belay::strand strand;
    co_await contended(state, [&](std::uint64_t& total) { return strand.run([&] { ++total; }); });
}
BENCHMARK(bench::on_workers<eight_tasks>)->Name("strand/8_tasks")->Apply(bench::with_1_and_2_workers);

// Always a queue: the state is kept across a suspension, with the strand and with the mutex.
belay::task<> queue_for_a_strand(benchmark::State& state) {
    belay::strand strand;
    co_await contended(state, [&](std::uint64_t& total) {
        return strand.run([&]() -> belay::task<> {
            ++total;
            co_await belay::yield();
        });
    });
}
BENCHMARK(bench::on_workers<queue_for_a_strand>)->Name("strand/8_tasks_across_a_yield")->Apply(bench::with_1_and_2_workers);

belay::task<> hold_mutex(belay::mutex& mutex, std::uint64_t& total) {
    auto guard = co_await mutex.lock();
    ++total;
    co_await belay::yield();
}
belay::task<> queue_for_a_mutex(benchmark::State& state) {
    belay::mutex mutex;
    co_await contended(state, [&](std::uint64_t& total) { return hold_mutex(mutex, total); });
}
BENCHMARK(bench::on_workers<queue_for_a_mutex>)->Name("mutex/8_tasks_across_a_yield")->Apply(bench::with_1_and_2_workers);

}  // namespace

BENCHMARK_MAIN();
