// aborts "a task was spawned after it was moved from or awaited"
// Three workers are wanted, and one task object is spawned three times.
#include <belay/belay.hpp>

#include <utility>

namespace {

belay::task<> work() { co_await belay::yield(); }

belay::task<> start(belay::scope& s) {
    auto worker = work();
    for (int i = 0; i < 3; ++i) s.spawn(std::move(worker));
    co_return;
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 2}};
    runtime.block_on(belay::with_scope(start));
    return 0;
}
