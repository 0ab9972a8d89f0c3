// What the building blocks of the executor cost by themselves. Run pinned to one core, except the contended cases:
//     taskset -c 1 bench_detail_structures --benchmark_filter=-contended
#include <belay/runtime/detail/frame_pool.hpp>
#include <belay/runtime/detail/spin_lock.hpp>
#include <belay/runtime/detail/timer_wheel.hpp>
#include <belay/runtime/detail/work_queue.hpp>

#include <benchmark/benchmark.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

namespace {

using namespace belay::detail;

template <class Lock>
void lock_unlock(benchmark::State& state) {
    static Lock lock;
    for (auto _ : state) {
        std::scoped_lock guard(lock);
        benchmark::ClobberMemory();
    }
}
BENCHMARK(lock_unlock<spin_lock>);
BENCHMARK(lock_unlock<std::mutex>);
BENCHMARK(lock_unlock<spin_lock>)->Name("contended/lock_unlock<spin_lock>")->Threads(2)->UseRealTime();
BENCHMARK(lock_unlock<std::mutex>)->Name("contended/lock_unlock<std::mutex>")->Threads(2)->UseRealTime();

void queue_push_pop(benchmark::State& state) {
    work_queue<int> queue;
    int item = 0;
    for (auto _ : state) {
        queue.push(&item);
        benchmark::DoNotOptimize(queue.pop());
    }
}
BENCHMARK(queue_push_pop);

void queue_push_steal(benchmark::State& state) {
    work_queue<int> queue;
    int item = 0;
    for (auto _ : state) {
        queue.push(&item);
        benchmark::DoNotOptimize(queue.steal());
    }
}
BENCHMARK(queue_push_steal);

void queue_pop_of_an_empty_one(benchmark::State& state) {
    work_queue<int> queue;
    for (auto _ : state) benchmark::DoNotOptimize(queue.pop());
}
BENCHMARK(queue_pop_of_an_empty_one);

void queue_steal_from_an_empty_one(benchmark::State& state) {
    work_queue<int> queue;
    for (auto _ : state) benchmark::DoNotOptimize(queue.steal());
}
BENCHMARK(queue_steal_from_an_empty_one);

// Per item: 100 pushes, then 100 pops, so that pops find more than the last item.
void queue_burst_push_pop(benchmark::State& state) {
    work_queue<int> queue;
    int item = 0;
    for (auto _ : state) {
        for (int i = 0; i < 100; ++i) queue.push(&item);
        for (int i = 0; i < 100; ++i) benchmark::DoNotOptimize(queue.pop());
    }
    state.SetItemsProcessed(state.iterations() * 100);
}
BENCHMARK(queue_burst_push_pop);

void queue_push_pop_under_a_thief(benchmark::State& state) {
    work_queue<int> queue;
    int item = 0;
    std::atomic<bool> done{false};
    std::atomic<std::int64_t> stolen{0};
    std::thread thief([&] {
        std::int64_t count = 0;
        while (!done.load(std::memory_order_relaxed)) {
            if (queue.steal() != nullptr)
                ++count;
            else
                cpu_relax();
        }
        stolen = count;
    });
    for (auto _ : state) {
        queue.push(&item);
        queue.push(&item);
        benchmark::DoNotOptimize(queue.pop());
        benchmark::DoNotOptimize(queue.pop());
    }
    done = true;
    thief.join();
    state.SetItemsProcessed(state.iterations() * 2);
    state.counters["stolen"] = static_cast<double>(stolen) / (2.0 * static_cast<double>(state.iterations()));
}
BENCHMARK(queue_push_pop_under_a_thief)->Name("contended/queue_push_pop_under_a_thief")->UseRealTime();

struct from_pool {
    static void* allocate(std::size_t bytes) { return pool_allocate(bytes); }
    static void free(void* block, std::size_t bytes) { pool_free(block, bytes); }
};
struct from_malloc {
    static void* allocate(std::size_t bytes) { return std::malloc(bytes); }
    static void free(void* block, std::size_t) { std::free(block); }
};

template <class Source>
void allocate_free(benchmark::State& state) {
    auto bytes = static_cast<std::size_t>(state.range(0));
    for (auto _ : state) {
        benchmark::DoNotOptimize(bytes);
        void* block = Source::allocate(bytes);
        benchmark::DoNotOptimize(block);
        Source::free(block, bytes);
    }
}
BENCHMARK(allocate_free<from_pool>)->Arg(64)->Arg(192)->Arg(1024);
BENCHMARK(allocate_free<from_malloc>)->Arg(64)->Arg(192)->Arg(1024);

// Per block, with this many of them alive at once.
template <class Source>
void allocate_many_free_many(benchmark::State& state) {
    const auto count = static_cast<std::size_t>(state.range(0));
    std::vector<void*> blocks(count);
    for (auto _ : state) {
        for (auto& block : blocks) block = Source::allocate(192);
        for (auto& block : blocks) Source::free(block, 192);
    }
    state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(allocate_many_free_many<from_pool>)->Arg(100)->Arg(10'000);
BENCHMARK(allocate_many_free_many<from_malloc>)->Arg(100)->Arg(10'000);

// Per block: one thread allocates, the other one frees.
template <class Source>
void free_on_another_thread(benchmark::State& state) {
    constexpr std::size_t places = 1024;
    static std::array<std::atomic<void*>, places> ring;
    std::atomic<bool> done{false};
    std::thread consumer([&] {
        for (std::size_t i = 0;;) {
            void* block = ring[i % places].exchange(nullptr, std::memory_order_acquire);
            if (block != nullptr) {
                Source::free(block, 192);
                ++i;
            } else if (done.load(std::memory_order_acquire)) {
                break;
            } else {
                cpu_relax();
            }
        }
    });
    std::size_t i = 0;
    for (auto _ : state) {
        void* block = Source::allocate(192);
        while (ring[i % places].load(std::memory_order_relaxed) != nullptr) cpu_relax();
        ring[i % places].store(block, std::memory_order_release);
        ++i;
    }
    done.store(true, std::memory_order_release);
    consumer.join();
    for (auto& place : ring)
        if (void* left = place.exchange(nullptr)) Source::free(left, 192);
}
BENCHMARK(free_on_another_thread<from_pool>)->Name("contended/free_on_another_thread<from_pool>")->UseRealTime();
BENCHMARK(free_on_another_thread<from_malloc>)->Name("contended/free_on_another_thread<from_malloc>")->UseRealTime();

std::vector<std::int64_t> random_delays(std::size_t count) {
    std::mt19937_64 random(1);
    std::vector<std::int64_t> delays(count);
    for (auto& each : delays) each = static_cast<std::int64_t>(random() % 1'000'000'000);
    return delays;
}

// A timeout that does not strike, among 1000 others.
void wheel_insert_remove(benchmark::State& state) {
    const auto delays = random_delays(4096);
    timer_wheel wheel(0);
    std::vector<timer_node> others(1000);
    for (std::size_t i = 0; i < others.size(); ++i) wheel.insert(others[i], delays[i]);
    timer_node timer;
    std::size_t i = 0;
    for (auto _ : state) {
        wheel.insert(timer, delays[i++ % delays.size()]);
        benchmark::DoNotOptimize(wheel.remove(timer));
    }
    for (auto& each : others) wheel.remove(each);
}
BENCHMARK(wheel_insert_remove);

// Per timer: insert this many over one second, then sleep from expiry to expiry until all have fired.
void wheel_insert_expire(benchmark::State& state) {
    const auto count = static_cast<std::size_t>(state.range(0));
    const auto delays = random_delays(count);
    std::vector<timer_node> timers(count);
    std::int64_t now = 0;
    timer_wheel wheel(now);
    for (auto _ : state) {
        for (std::size_t i = 0; i < count; ++i) wheel.insert(timers[i], now + delays[i]);
        while (!wheel.empty()) {
            now = wheel.next_expiry_ns();
            benchmark::DoNotOptimize(wheel.expire(now));
        }
    }
    state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(wheel_insert_expire)->Arg(1)->Arg(1000)->Arg(100'000);

void wheel_next_expiry(benchmark::State& state) {
    timer_wheel wheel(0);
    timer_node timer;
    wheel.insert(timer, 1'000'000'000);
    for (auto _ : state) benchmark::DoNotOptimize(wheel.next_expiry_ns());
    wheel.remove(timer);
}
BENCHMARK(wheel_next_expiry);

}  // namespace

BENCHMARK_MAIN();
