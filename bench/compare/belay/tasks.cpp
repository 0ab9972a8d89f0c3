// belay: what a task costs that does nothing but change turns, wait for another thread, or stay parked.
// Cases: yield1, yield100, offload, parked_bytes.
#include <belay/belay.hpp>

#include <atomic>

#include "measure.hpp"

namespace {

belay::task<> yield(std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) co_await belay::yield();
}

belay::task<> yield_together(unsigned tasks, std::uint64_t count) {
    co_await belay::with_scope([&](belay::scope& s) -> belay::task<> {
        for (unsigned i = 0; i < tasks; ++i) s.spawn(yield, count / tasks);
        co_return;
    });
}

belay::task<> offload(std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) compare::check(co_await belay::spawn_blocking([i] { return i; }) == i, "offload");
}

belay::task<> park(belay::mutex* held, std::atomic<std::uint64_t>* started) {
    started->fetch_add(1, std::memory_order_relaxed);
    auto guard = co_await held->lock();
}

belay::task<double> parked_bytes(std::uint64_t count) {
    belay::mutex held;
    auto guard = co_await held.lock();
    std::atomic<std::uint64_t> started{0};
    co_return co_await belay::with_scope({.max_tasks = count}, [&](belay::scope& s) -> belay::task<double> {
        double before = compare::resident_bytes();
        for (std::uint64_t i = 0; i < count; ++i) s.spawn(park, &held, &started);
        while (started.load(std::memory_order_relaxed) < count) co_await belay::yield();
        double bytes = (compare::resident_bytes() - before) / static_cast<double>(count);
        guard.unlock();
        co_return bytes;
    });
}

}  // namespace

int main(int argc, char** argv) {
    auto a = compare::parse(argc, argv);
    belay::runtime runtime{{.workers = a.workers}};
    compare::stopwatch watch;
    if (a.name == "parked_bytes") {
        double bytes = runtime.block_on(parked_bytes(a.count));
        return compare::report(a, bytes, "B", watch.cpu()), 0;
    }
    if (a.name == "yield1") {
        runtime.block_on(yield(a.count));
    } else if (a.name == "yield100") {
        runtime.block_on(yield_together(100, a.count));
    } else if (a.name == "offload") {
        runtime.block_on(offload(a.count));
    } else {
        compare::unknown_case(a);
    }
    compare::report_each(a, watch, static_cast<double>(a.count));
}
