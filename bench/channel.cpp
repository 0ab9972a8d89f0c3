// The bounded channel, by how messages get into it. Per message, sent and received.
#include <belay/bench/measure.hpp>
#include <belay/runtime/scope.hpp>
#include <belay/sync/channel.hpp>

#include <cstdint>
#include <utility>

namespace {

using sender = belay::sender<std::uint64_t>;
using receiver = belay::receiver<std::uint64_t>;

constexpr std::size_t capacity = 128;
constexpr std::uint64_t messages = 20'000;

belay::task<> send(sender to, std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) co_await to.send(i);
}

belay::task<> receive(receiver from, benchmark::State* state) {
    std::uint64_t received = 0;
    while (co_await from.recv()) ++received;
    if (received != messages) state->SkipWithError("a message was lost");
}

template <unsigned Senders>
belay::task<> stream(benchmark::State& state) {
    while (state.KeepRunningBatch(messages)) {
        co_await belay::with_scope([&](belay::scope& s) -> belay::task<> {
            auto [tx, rx] = belay::channel<std::uint64_t>(capacity);
            for (unsigned i = 0; i < Senders; ++i) s.spawn(send, tx, messages / Senders);
            s.spawn(receive, std::move(rx), &state);
            co_return;
        });
    }
}
BENCHMARK(bench::on_workers<stream<1>>)->Name("channel/1_to_1")->Apply(bench::with_1_and_2_workers);
BENCHMARK(bench::on_workers<stream<4>>)->Name("channel/4_to_1")->Apply(bench::with_1_and_2_workers);

// The three ways in and the two ways out, when nobody has to wait.

belay::task<> send_and_receive(benchmark::State& state) {
    auto [tx, rx] = belay::channel<std::uint64_t>(capacity);
    for (auto _ : state) {
        co_await tx.send(1);
        benchmark::DoNotOptimize(co_await rx.recv());
    }
}
BENCHMARK(bench::on_workers<send_and_receive>)->Name("channel/send")->Apply(bench::with_1_worker);

belay::task<> try_send_and_receive(benchmark::State& state) {
    auto [tx, rx] = belay::channel<std::uint64_t>(capacity);
    for (auto _ : state) {
        benchmark::DoNotOptimize(tx.try_send(1));
        benchmark::DoNotOptimize(rx.try_recv());
    }
    co_return;
}
BENCHMARK(bench::on_workers<try_send_and_receive>)->Name("channel/try_send")->Apply(bench::with_1_worker);

belay::task<> reserve_and_receive(benchmark::State& state) {
    auto [tx, rx] = belay::channel<std::uint64_t>(capacity);
    for (auto _ : state) {
        auto permit = co_await tx.reserve();
        permit.send(1);
        benchmark::DoNotOptimize(co_await rx.recv());
    }
}
BENCHMARK(bench::on_workers<reserve_and_receive>)->Name("channel/permit")->Apply(bench::with_1_worker);

}  // namespace

BENCHMARK_MAIN();
