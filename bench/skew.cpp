// Promise 6: ready work does not wait behind a busy worker. An echo server on two workers, one of which a task keeps busy for
// 5 ms of every 10 ms, and what that does to the connections that live on the busy one: percentiles of the echo's latency,
// with takeover (the default) and without it. Needs a CPU for each worker, or the scheduler of the kernel is what is measured.
#include <belay/io/descriptor.hpp>
#include <belay/io/endpoint.hpp>
#include <belay/io/tcp_listener.hpp>
#include <belay/io/tcp_stream.hpp>
#include <belay/runtime/runtime.hpp>
#include <belay/runtime/scope.hpp>
#include <belay/runtime/sleep.hpp>

#include <benchmark/benchmark.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <thread>
#include <vector>

namespace {

namespace io = belay::io;
using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;

constexpr std::size_t connections = 16;
constexpr auto mean_pause = 8ms;  // on each connection: 2000 echoes a second in all
constexpr auto window = 500ms;    // one iteration

belay::task<> burn() {
    for (;;) {
        for (auto end = steady::now() + 5ms; steady::now() < end;) {}
        co_await belay::sleep_for(5ms);
    }
}

belay::task<> echo(io::tcp_stream peer) {
    std::array<std::byte, 64> buffer;
    while (std::size_t n = co_await peer.read_some(buffer)) co_await peer.write_all(std::span(buffer).first(n));
}

belay::task<> serve(io::tcp_listener* listener) {
    co_await belay::with_scope({.on_error = belay::on_error::isolate}, [&](belay::scope& s) -> belay::task<> {
        s.spawn(burn);
        for (;;) s.spawn(echo, co_await listener->accept());
    });
}

// A thread of its own and blocking calls, so that nothing of the client depends on what is measured. An open loop: a message is
// due at random times, whether or not the one before is back, and its latency counts from then.
class client {
public:
    client(const io::endpoint& server, unsigned seed) : socket_{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)}, random_{seed} {
        connected_ = ::connect(socket_.native_handle(), server.data(), server.size()) == 0 && round_trip();
    }
    void run_until(steady::time_point end) {
        ::prctl(PR_SET_TIMERSLACK, 1UL);
        std::exponential_distribution<double> pause{1.0 / std::chrono::duration<double>(mean_pause).count()};
        auto next_pause = [&] {
            return std::chrono::duration_cast<steady::duration>(std::chrono::duration<double>(pause(random_)));
        };
        for (auto due = steady::now() + next_pause(); due < end && connected_; due += next_pause()) {
            std::this_thread::sleep_until(due);
            connected_ = round_trip();
            latencies.push_back(std::chrono::duration<double, std::micro>(steady::now() - due).count());
        }
    }
    [[nodiscard]] bool connected() const { return connected_; }
    std::vector<double> latencies;  // microseconds

private:
    bool round_trip() {
        std::array<std::byte, 64> message{};
        auto size = static_cast<ssize_t>(message.size());
        return ::send(socket_.native_handle(), message.data(), message.size(), MSG_NOSIGNAL) == size &&
               ::recv(socket_.native_handle(), message.data(), message.size(), MSG_WAITALL) == size;
    }
    io::descriptor socket_;
    std::minstd_rand random_;
    bool connected_ = false;
};

double percentile(std::vector<double>& sorted, double p) {
    return sorted.empty() ? 0 : sorted[static_cast<std::size_t>(static_cast<double>(sorted.size() - 1) * p)];
}

void skew(benchmark::State& state) {
    belay::runtime_options options{.workers = 2};
    if (state.range(0) == 0) options.takeover_tick = 0ns;
    belay::runtime runtime{options};
    auto listener = io::tcp_listener::bind("127.0.0.1:0");
    runtime.spawn(serve, &listener);

    std::vector<client> clients;
    for (unsigned i = 0; i < connections; ++i) clients.emplace_back(listener.local(), i + 1);
    for (auto _ : state) {
        auto end = steady::now() + window;
        std::vector<std::jthread> threads;
        for (auto& each : clients) threads.emplace_back([&each, end] { each.run_until(end); });
    }

    std::vector<double> all;
    for (auto& each : clients) {
        if (!each.connected()) state.SkipWithError("a connection was lost");
        all.insert(all.end(), each.latencies.begin(), each.latencies.end());
    }
    std::ranges::sort(all);
    state.counters["p50_us"] = percentile(all, 0.5);
    state.counters["p99_us"] = percentile(all, 0.99);
    state.counters["max_us"] = percentile(all, 1);
    state.SetItemsProcessed(static_cast<std::int64_t>(all.size()));
    runtime.shutdown(1s);  // before the listener goes, on which a task waits
}
BENCHMARK(skew)->ArgName("takeover")->Arg(1)->Arg(0)->UseRealTime()->MeasureProcessCPUTime()->Unit(benchmark::kMillisecond);

}  // namespace

BENCHMARK_MAIN();
