// Two tasks that wake each other in turn: the latency of a wake-up. Per round trip, which is two of them.
#include <belay/bench/measure.hpp>
#include <belay/runtime/when_all.hpp>
#include <belay/sync/channel.hpp>

#include <utility>

namespace {

belay::task<> ping(benchmark::State& state, belay::sender<int> to, belay::receiver<int> from) {
    for (auto _ : state) {
        co_await to.send(1);
        benchmark::DoNotOptimize(co_await from.recv());
    }
}

belay::task<> pong(belay::receiver<int> from, belay::sender<int> to) {
    while (auto message = co_await from.recv()) co_await to.send(*message);
}

belay::task<> ping_pong(benchmark::State& state) {
    auto [there, at_pong] = belay::channel<int>(1);
    auto [back, at_ping] = belay::channel<int>(1);
    co_await belay::when_all(ping(state, std::move(there), std::move(at_ping)), pong(std::move(at_pong), std::move(back)));
}
BENCHMARK(bench::on_workers<ping_pong>)->Name("ping_pong")->Apply(bench::with_1_and_2_workers);

}  // namespace

BENCHMARK_MAIN();
