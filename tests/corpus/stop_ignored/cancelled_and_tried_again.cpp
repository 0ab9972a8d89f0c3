// reports stop-ignored
// policy stall=off,stop=log:20ms
// A library asks whether it should stop and throws. The loop around it takes that for an error like any other, and tries again.
#include <belay/belay.hpp>

#include <ctime>
#include <exception>
#include <stdexcept>

namespace {

void optimise(const std::clock_t& done) {  // calls back at every step, as such libraries do
    while (std::clock() < done)
        if (belay::this_task::stop_requested()) throw std::runtime_error("cancelled");
}

belay::task<> plan_route() {
    const auto done = std::clock() + CLOCKS_PER_SEC / 2;
    while (std::clock() < done) {
        try {
            optimise(done);
        } catch (const std::exception&) {  // once more
        }
    }
    co_return;
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on(belay::with_scope({.name = "routes"}, [](belay::scope& s) -> belay::task<> {
        s.spawn(plan_route);  // <- here
        s.request_stop();
        co_return;
    }));
    return 0;
}
