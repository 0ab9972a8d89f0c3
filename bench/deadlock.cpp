// A search for deadlocks, per task: of tasks that wait for what is held outside, as in a server, and of tasks that are all stuck.
#include <belay/runtime/detail/deadlock_search.hpp>
#include <belay/runtime/detail/standstill.hpp>
#include <belay/runtime/runtime.hpp>
#include <belay/sync/channel.hpp>

#include <benchmark/benchmark.h>

#include <chrono>
#include <thread>
#include <utility>
#include <vector>

namespace {

belay::task<> receive(belay::receiver<int> rx) {
    while (co_await rx.recv()) {}
}
belay::task<> receive_and_keep(belay::receiver<int> rx, belay::sender<int> kept) {
    while (co_await rx.recv()) {}
    kept.close();
}

void search(benchmark::State& state) {
    bool stuck = state.range(0) != 0;
    auto tasks = static_cast<std::size_t>(state.range(1));
    std::vector<belay::sender<int>> senders;
    belay::runtime runtime{{.workers = 1, .guardrails = "all=log,stall=off,deadlock=off,fanout=off"}};
    for (std::size_t i = 0; i < tasks; ++i) {
        auto [tx, rx] = belay::channel<int>(1);
        if (stuck) {
            runtime.spawn(receive_and_keep, std::move(rx), std::move(tx));
        } else {
            runtime.spawn(receive, std::move(rx));
            senders.push_back(std::move(tx));
        }
    }
    auto& core = runtime.core();
    while (core.idle_.count() != core.serving || core.injected_seq_cst() != 0) std::this_thread::yield();
    std::size_t found = 0;
    while (state.KeepRunningBatch(static_cast<benchmark::IterationCount>(tasks))) {
        belay::detail::standstill still{core, std::chrono::nanoseconds{std::chrono::seconds{1}}.count()};
        auto result = belay::detail::deadlock_search{core}.run(tasks);
        found = result ? result->ids.size() : 0;
    }
    if (found != (stuck ? tasks : 0)) state.SkipWithError("the search has not found what there is");
}
BENCHMARK(search)->ArgNames({"stuck", "tasks"})->ArgsProduct({{0, 1}, {1'000, 10'000, 100'000}})->UseRealTime();

}  // namespace

BENCHMARK_MAIN();
