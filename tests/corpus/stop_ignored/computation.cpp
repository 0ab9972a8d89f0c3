// reports stop-ignored
// policy stall=off,stop=log:20ms
// A search without a suspension does not hear that its scope was stopped.
#include <belay/belay.hpp>

#include <ctime>

namespace {

belay::task<long> search(long from) {
    for (const auto end = std::clock() + CLOCKS_PER_SEC / 2; std::clock() < end;) ++from;
    co_return from;
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on(belay::with_scope({.name = "searches"}, [](belay::scope& s) -> belay::task<> {
        s.spawn(search, 1L);  // <- here
        s.request_stop();
        co_return;
    }));
    return 0;
}
