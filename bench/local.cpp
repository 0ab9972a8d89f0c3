// The current-thread flavour beside a runtime with one worker, which is the same executor with a thread and a wake-up around it:
// `host:0` runs on a local_runtime in run_until(), `host:1` on one that is driven by poll(2) and poll(), as an embedding program
// does, `host:2` on a runtime with one worker. Per operation.
#include <belay/bench/measure.hpp>
#include <belay/io/tcp_listener.hpp>
#include <belay/io/tcp_stream.hpp>
#include <belay/runtime/local_runtime.hpp>
#include <belay/runtime/scope.hpp>
#include <belay/runtime/yield.hpp>

#include <poll.h>

#include <array>
#include <cstddef>
#include <span>
#include <utility>

namespace {

namespace io = belay::io;

enum host : std::int64_t { runs_until, polls, one_worker };

void serve(belay::local_runtime& runtime, const bool& done) {
    while (!done) {
        pollfd handle{runtime.native_handle(), POLLIN, 0};
        ::poll(&handle, 1, -1);
        runtime.poll();
    }
}

/// Runs a task that measures, and starts it from the host that the argument names.
template <belay::task<> (*Measured)(benchmark::State&)>
void on_host(benchmark::State& state) {
    if (state.range(0) == one_worker) {
        belay::runtime runtime{{.workers = 1, .guardrails = "stall=log:60s"}};
        return runtime.block_on(Measured(state));
    }
    belay::local_runtime runtime{{.guardrails = "stall=log:60s", .spin_us = -1}};
    if (state.range(0) == runs_until) return runtime.run_until(Measured(state));
    bool done = false;
    runtime.spawn([&]() -> belay::task<> {
        co_await Measured(state);
        done = true;
    });
    serve(runtime, done);
}

void with_hosts(benchmark::internal::Benchmark* b) {
    b->ArgName("host")->Arg(runs_until)->Arg(polls)->Arg(one_worker)->Apply(bench::with_both_clocks);
}

belay::task<> nothing() { co_return; }

belay::task<> spawn_and_join(benchmark::State& state) {
    constexpr int crowd = 1000;
    while (state.KeepRunningBatch(crowd)) {
        co_await belay::with_scope([](belay::scope& s) -> belay::task<> {
            for (int i = 0; i < crowd; ++i) s.spawn(nothing);
            co_return;
        });
    }
}
BENCHMARK(on_host<spawn_and_join>)->Name("local/spawn_and_join")->Apply(with_hosts);

belay::task<> yield(benchmark::State& state) {
    for (auto _ : state) co_await belay::yield();
}
BENCHMARK(on_host<yield>)->Name("local/yield")->Apply(with_hosts);

belay::task<> echo(io::tcp_stream peer) {
    std::array<std::byte, 4096> buffer;
    while (std::size_t n = co_await peer.read_some(buffer)) co_await peer.write_all(std::span(buffer).first(n));
}

belay::task<> tcp_ping_pong(benchmark::State& state) {
    auto listener = io::tcp_listener::bind("127.0.0.1:0");
    co_await belay::with_scope([&](belay::scope& s) -> belay::task<> {
        auto client = co_await io::tcp_stream::connect(listener.local());
        s.spawn(echo, co_await listener.accept());
        std::array<std::byte, 64> message{};
        for (auto _ : state) {
            co_await client.write_all(message);
            co_await client.read_exact(message);
        }
    });
}
BENCHMARK(on_host<tcp_ping_pong>)->Name("local/tcp_ping_pong")->Apply(with_hosts);

/// What a host pays for a task from outside: spawned, announced by the descriptor, run. With a worker: spawned and waited for.
void visit(benchmark::State& state) {
    if (state.range(0) == one_worker) {
        belay::runtime runtime{{.workers = 1, .guardrails = "stall=off"}};
        for (auto _ : state) runtime.block_on(nothing());
        return;
    }
    belay::local_runtime runtime{{.guardrails = "stall=off"}};
    for (auto _ : state) {
        if (state.range(0) == runs_until) {
            runtime.run_until(nothing());
            continue;
        }
        bool done = false;
        runtime.spawn([&]() -> belay::task<> {
            done = true;
            co_return;
        });
        serve(runtime, done);
    }
}
BENCHMARK(visit)->Name("local/visit")->Apply(with_hosts);

}  // namespace

BENCHMARK_MAIN();
