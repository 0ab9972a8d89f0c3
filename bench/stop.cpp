// What a stop costs: per parked task of one scope, and per unwinding of one task with a chain of frames.
#include <belay/bench/measure.hpp>
#include <belay/runtime/finally.hpp>
#include <belay/runtime/scope.hpp>
#include <belay/runtime/stopped_as.hpp>
#include <belay/runtime/this_task.hpp>
#include <belay/runtime/yield.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>

namespace {

/// The least that a task can be suspended on: a stop completes it at once.
struct parked final : belay::detail::operation, belay::detail::native_awaitable {
    explicit parked(std::atomic<std::int64_t>& count) noexcept : count_{&count} {}
    static bool await_ready() noexcept { return false; }
    template <belay::task_promise P>
    bool await_suspend(std::coroutine_handle<P> h) noexcept {
        auto* count = count_;
        if (suspend_on(*h.promise().rec)) count->fetch_add(1);
        return true;
    }
    static void await_resume() noexcept {}
    void request_stop(belay::detail::stop_walk&) noexcept override { complete(belay::detail::outcome::stopped); }
    [[nodiscard]] const char* what() const noexcept override { return "parked"; }
    std::atomic<std::int64_t>* count_;
};

belay::task<> park(std::atomic<std::int64_t>* count) { co_await parked{*count}; }

double seconds_since(std::chrono::steady_clock::time_point start) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// From request_stop() until the scope has ended, per task, the second argument at once. Spawning them is not measured.
belay::task<> stop_parked(benchmark::State& state) {
    const std::int64_t tasks = state.range(1);
    while (state.KeepRunningBatch(tasks)) {
        std::atomic<std::int64_t> count{0};
        std::chrono::steady_clock::time_point start;
        co_await belay::with_scope([&](belay::scope& s) -> belay::task<> {
            for (std::int64_t i = 0; i < tasks; ++i) {
                s.spawn(park, &count);
                if (i % 1000 == 999) co_await belay::yield();
            }
            while (count != tasks) co_await belay::yield();
            start = std::chrono::steady_clock::now();
            s.request_stop();
        });
        state.SetIterationTime(seconds_since(start));
    }
}
BENCHMARK(bench::on_workers<stop_parked>)
    ->Name("stop/parked_tasks")
    ->ArgNames({"workers", "tasks"})
    ->ArgsProduct({{1, 2}, {1'000, 10'000, 100'000}})
    ->UseManualTime();

belay::task<> chain(int depth, std::atomic<std::int64_t>* count) {
    if (depth > 1) {
        co_await chain(depth - 1, count);
    } else {
        co_await parked{*count};
    }
}

/// From request_stop() on one task until it has ended, its frames destroyed leaf to root.
belay::task<> unwind_chain(benchmark::State& state) {
    const int frames = static_cast<int>(state.range(1));
    co_await belay::with_scope([&](belay::scope& s) -> belay::task<> {
        for (auto _ : state) {
            std::atomic<std::int64_t> count{0};
            auto handle = s.spawn(chain, frames, &count);
            while (count == 0) co_await belay::yield();
            auto start = std::chrono::steady_clock::now();
            handle.request_stop();
            (void)co_await handle.join_optional();
            state.SetIterationTime(seconds_since(start));
        }
    });
}
BENCHMARK(bench::on_workers<unwind_chain>)
    ->Name("stop/unwind_chain")
    ->ArgNames({"workers", "frames"})
    ->ArgsProduct({{1}, {1, 20, 200}})
    ->UseManualTime();

belay::task<int> one() { co_return 1; }

belay::task<> finally(benchmark::State& state) {
    for (auto _ : state) benchmark::DoNotOptimize(co_await belay::finally(one(), []() -> belay::task<> { co_return; }));
}
BENCHMARK(bench::on_workers<finally>)->Name("finally")->Apply(bench::with_1_worker);

belay::task<> as_optional(benchmark::State& state) {
    for (auto _ : state) benchmark::DoNotOptimize(co_await belay::stopped_as_optional(one()));
}
BENCHMARK(bench::on_workers<as_optional>)->Name("stopped_as_optional")->Apply(bench::with_1_worker);

belay::task<> token(benchmark::State& state) {
    for (auto _ : state) benchmark::DoNotOptimize(belay::this_task::stop_token());
    co_return;
}
BENCHMARK(bench::on_workers<token>)->Name("this_task::stop_token")->Apply(bench::with_1_worker);

}  // namespace

BENCHMARK_MAIN();
