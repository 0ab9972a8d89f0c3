// select beside the plain operation: what the choice costs, when something is there already and when the task has to wait.
#include <belay/bench/measure.hpp>
#include <belay/runtime/scope.hpp>
#include <belay/runtime/sleep.hpp>
#include <belay/runtime/when_any.hpp>
#include <belay/runtime/yield.hpp>
#include <belay/sync/channel.hpp>
#include <belay/sync/event.hpp>
#include <belay/sync/select.hpp>

#include <chrono>
#include <cstdint>
#include <utility>

namespace {

using belay::select;
using sender = belay::sender<std::uint64_t>;
using receiver = belay::receiver<std::uint64_t>;

// ---- a message is there: it is sent and received ----------------------------------------------------------------

belay::task<> ready_plain(benchmark::State& state) {
    auto [tx, rx] = belay::channel<std::uint64_t>(128);
    for (auto _ : state) {
        (void)tx.try_send(1);
        benchmark::DoNotOptimize(co_await rx.recv());
    }
}
BENCHMARK(bench::on_workers<ready_plain>)->Name("select/ready/recv_alone")->Apply(bench::with_1_worker);

belay::task<> ready_of_two(benchmark::State& state) {
    auto [tx, rx] = belay::channel<std::uint64_t>(128);
    auto [other_tx, other_rx] = belay::channel<std::uint64_t>(128);
    for (auto _ : state) {
        (void)tx.try_send(1);
        benchmark::DoNotOptimize(co_await select(rx.recv(), other_rx.recv()));
    }
}
BENCHMARK(bench::on_workers<ready_of_two>)->Name("select/ready/of_2_channels")->Apply(bench::with_1_worker);

// ---- the task waits: two tasks hand messages over one by one, so that every receive suspends --------------------------

constexpr std::uint64_t messages = 10'000;

belay::task<> send(sender to) {
    for (std::uint64_t i = 0; i < messages; ++i) {
        co_await to.send(i);
        co_await belay::yield();
    }
}

struct recv_alone {
    static belay::task<> run(receiver from) {
        while (co_await from.recv()) {}
    }
};
struct of_2_channels {
    static belay::task<> run(receiver from) {
        auto [tx, never] = belay::channel<std::uint64_t>(1);
        for (;;)
            if (auto won = co_await select(from.recv(), never.recv()); !won.get<0>()) co_return;
    }
};
struct with_event_and_timer {
    static belay::task<> run(receiver from) {
        belay::event stopping;
        for (;;)
            if (auto won = co_await select(from.recv(), stopping.wait(), belay::sleep_for(std::chrono::hours{1})); !won.get<0>())
                co_return;
    }
};
struct when_any_of_2_channels {  // the same with tasks that are stopped
    static belay::task<> run(receiver from) {
        auto [tx, never] = belay::channel<std::uint64_t>(1);
        for (;;)
            if (auto won = co_await belay::when_any(from.recv(), never.recv()); !*std::get<0>(won.values)) co_return;
    }
};

template <class Receive>
belay::task<> waiting(benchmark::State& state) {
    while (state.KeepRunningBatch(messages)) {
        co_await belay::with_scope([&](belay::scope& s) -> belay::task<> {
            auto [tx, rx] = belay::channel<std::uint64_t>(1);
            s.spawn(Receive::run, std::move(rx));
            s.spawn(send, std::move(tx));
            co_return;
        });
    }
}
BENCHMARK(bench::on_workers<waiting<recv_alone>>)->Name("select/waiting/recv_alone")->Apply(bench::with_1_worker);
BENCHMARK(bench::on_workers<waiting<of_2_channels>>)->Name("select/waiting/of_2_channels")->Apply(bench::with_1_worker);
BENCHMARK(bench::on_workers<waiting<with_event_and_timer>>)
    ->Name("select/waiting/channel_event_timer")
    ->Apply(bench::with_1_worker);
BENCHMARK(bench::on_workers<waiting<when_any_of_2_channels>>)->Name("select/waiting/when_any_of_2")->Apply(bench::with_1_worker);

}  // namespace

BENCHMARK_MAIN();
