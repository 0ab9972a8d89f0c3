// belay: plain tasks as fork-join. when_all makes a record for each branch, so that every branch can be stolen.
// Cases: fib, skynet, spawn_join.
#include <belay/belay.hpp>

#include <tuple>

#include "measure.hpp"

namespace {

belay::task<std::uint64_t> fib(std::uint64_t n) {
    if (n < 2) co_return n;
    auto [a, b] = co_await belay::when_all(fib(n - 1), fib(n - 2));
    co_return a + b;
}

belay::task<std::uint64_t> skynet(std::uint64_t first, std::uint64_t leaves) {
    if (leaves == 1) co_return first;
    auto child = [=](std::uint64_t i) { return skynet(first + i * leaves / 10, leaves / 10); };
    auto sums = co_await belay::when_all(child(0), child(1), child(2), child(3), child(4),  //
                                         child(5), child(6), child(7), child(8), child(9));
    co_return std::apply([](auto... sum) { return (sum + ...); }, sums);
}

belay::task<> nothing() { co_return; }

belay::task<> spawn_join(std::uint64_t count) {
    co_await belay::with_scope({.max_tasks = count}, [&](belay::scope& s) -> belay::task<> {
        for (std::uint64_t i = 0; i < count; ++i) s.spawn(nothing);
        co_return;
    });
}

}  // namespace

int main(int argc, char** argv) {
    auto a = compare::parse(argc, argv);
    belay::runtime runtime{{.workers = a.workers}};
    compare::stopwatch watch;
    if (a.name == "fib") {
        compare::check(runtime.block_on(fib(a.count)) > 0, "fib");
    } else if (a.name == "skynet") {
        compare::check(runtime.block_on(skynet(0, a.count)) == a.count * (a.count - 1) / 2, "skynet");
    } else if (a.name == "spawn_join") {
        runtime.block_on(spawn_join(a.count));
        return compare::report_each(a, watch, static_cast<double>(a.count)), 0;
    } else {
        compare::unknown_case(a);
    }
    compare::report(a, watch.wall() * 1e3, "ms", watch.cpu());
}
