// belay: a million sleeping tasks at once, with deadlines all over the next second; counted in CPU time, spawning included.
// Case: timers.
#include <belay/belay.hpp>

#include "measure.hpp"

namespace {

belay::task<> sleep_until_due(std::uint64_t i) { co_await belay::sleep_for(compare::deadline(i)); }

belay::task<> timers(std::uint64_t count) {
    co_await belay::with_scope({.max_tasks = count}, [&](belay::scope& s) -> belay::task<> {
        for (std::uint64_t i = 0; i < count; ++i) s.spawn(sleep_until_due, i);
        co_return;
    });
}

}  // namespace

int main(int argc, char** argv) {
    auto a = compare::parse(argc, argv);
    if (a.name != "timers") compare::unknown_case(a);
    belay::runtime runtime{{.workers = a.workers}};
    compare::stopwatch watch;
    runtime.block_on(timers(a.count));
    compare::report(a, watch.cpu(), "cpu_s", watch.cpu());
}
