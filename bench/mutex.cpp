// The async mutex around one increment. Per lock and unlock.
#include <belay/bench/measure.hpp>
#include <belay/runtime/scope.hpp>
#include <belay/sync/mutex.hpp>

#include <cstdint>

namespace {

belay::task<> uncontended(benchmark::State& state) {
    belay::mutex mutex;
    std::uint64_t total = 0;
    for (auto _ : state) {
        auto guard = co_await mutex.lock();
        benchmark::DoNotOptimize(++total);
    }
}
BENCHMARK(bench::on_workers<uncontended>)->Name("mutex/uncontended")->Apply(bench::with_1_worker);

constexpr unsigned tasks = 8;
constexpr std::uint64_t locks = 5'000;  // of each

belay::task<> increment(belay::mutex* mutex, std::uint64_t* total) {
    for (std::uint64_t i = 0; i < locks; ++i) {
        auto guard = co_await mutex->lock();
        ++*total;
    }
}

belay::task<> contended(benchmark::State& state) {
    while (state.KeepRunningBatch(tasks * locks)) {
        belay::mutex mutex;
        std::uint64_t total = 0;
        co_await belay::with_scope([&](belay::scope& s) -> belay::task<> {
            for (unsigned i = 0; i < tasks; ++i) s.spawn(increment, &mutex, &total);
            co_return;
        });
        if (total != tasks * locks) state.SkipWithError("an increment was lost");
    }
}
BENCHMARK(bench::on_workers<contended>)->Name("mutex/8_tasks")->Apply(bench::with_1_and_2_workers);

}  // namespace

BENCHMARK_MAIN();
