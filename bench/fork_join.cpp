// Fork-join with when_all, without a cut-off: nothing is computed but the joins. fib: per join of two branches; skynet: per
// leaf of a tree of joins of ten.
#include <belay/bench/measure.hpp>
#include <belay/runtime/when_all.hpp>

#include <cstdint>
#include <tuple>

namespace {

belay::task<std::uint64_t> fib(unsigned n) {
    if (n < 2) co_return n;
    auto [a, b] = co_await belay::when_all(fib(n - 1), fib(n - 2));
    co_return a + b;
}

constexpr std::uint64_t joins_of_fib(unsigned n) { return n < 2 ? 0 : 1 + joins_of_fib(n - 1) + joins_of_fib(n - 2); }

belay::task<> fib_20(benchmark::State& state) {
    while (state.KeepRunningBatch(joins_of_fib(20)))
        if (co_await fib(20) != 6765) state.SkipWithError("fib(20) is 6765");
}
BENCHMARK(bench::on_workers<fib_20>)->Name("fib_20")->Apply(bench::with_1_and_2_workers);

belay::task<std::uint64_t> skynet(std::uint64_t first, std::uint64_t leaves) {
    if (leaves == 1) co_return first;
    auto child = [=](std::uint64_t i) { return skynet(first + i * leaves / 10, leaves / 10); };
    auto sums = co_await belay::when_all(child(0), child(1), child(2), child(3), child(4),  //
                                         child(5), child(6), child(7), child(8), child(9));
    co_return std::apply([](auto... sum) { return (sum + ...); }, sums);
}

constexpr std::uint64_t leaves = 10'000;

belay::task<> skynet_10k(benchmark::State& state) {
    while (state.KeepRunningBatch(leaves))
        if (co_await skynet(0, leaves) != leaves * (leaves - 1) / 2) state.SkipWithError("wrong sum");
}
BENCHMARK(bench::on_workers<skynet_10k>)->Name("skynet_10k")->Apply(bench::with_1_and_2_workers);

}  // namespace

BENCHMARK_MAIN();
