// oneTBB: task_group is its fork-join with both children as tasks; the numbers say what threads without coroutines reach.
// Cases: fib, skynet, spawn_join.
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/task_arena.h>
#include <oneapi/tbb/task_group.h>

#include <atomic>

#include "measure.hpp"

namespace {

std::uint64_t fib(std::uint64_t n) {
    if (n < 2) return n;
    std::uint64_t a = 0, b = 0;
    tbb::task_group group;
    group.run([&] { a = fib(n - 1); });
    group.run_and_wait([&] { b = fib(n - 2); });
    return a + b;
}

std::uint64_t skynet(std::uint64_t first, std::uint64_t leaves) {
    if (leaves == 1) return first;
    std::uint64_t sums[10];
    tbb::task_group group;
    for (std::uint64_t i = 0; i < 10; ++i) group.run([&, i] { sums[i] = skynet(first + i * leaves / 10, leaves / 10); });
    group.wait();
    std::uint64_t sum = 0;
    for (std::uint64_t s : sums) sum += s;
    return sum;
}

std::uint64_t spawn_join(std::uint64_t count) {
    std::atomic<std::uint64_t> done{0};
    tbb::task_group group;
    for (std::uint64_t i = 0; i < count; ++i) group.run([&] { done.fetch_add(1, std::memory_order_relaxed); });
    group.wait();
    return done.load();
}

}  // namespace

int main(int argc, char** argv) {
    auto a = compare::parse(argc, argv);
    tbb::global_control limit{tbb::global_control::max_allowed_parallelism, a.workers};
    tbb::task_arena arena{static_cast<int>(a.workers)};
    arena.execute([&] {
        compare::stopwatch watch;
        if (a.name == "fib") {
            compare::check(fib(a.count) > 0, "fib");
        } else if (a.name == "skynet") {
            compare::check(skynet(0, a.count) == a.count * (a.count - 1) / 2, "skynet");
        } else if (a.name == "spawn_join") {
            compare::check(spawn_join(a.count) == a.count, "spawn_join");
            return compare::report_each(a, watch, static_cast<double>(a.count));
        } else {
            compare::unknown_case(a);
        }
        compare::report(a, watch.wall() * 1e3, "ms", watch.cpu());
    });
}
