// reports blocking-call
// needs guard
// policy stall=off
// A generator of ticks sleeps until the next one is due.
#include <belay/belay.hpp>

#include <chrono>
#include <thread>

namespace {

belay::async_generator<int> ticks(std::chrono::milliseconds every) {
    auto next = std::chrono::steady_clock::now();
    for (int tick = 0; tick < 3; ++tick) {
        std::this_thread::sleep_until(next += every);
        co_yield tick;
    }
}

belay::task<> blink() {
    auto clock = ticks(std::chrono::milliseconds{8});
    while (co_await clock.next()) {  // <- here
    }
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on(blink);
    return 0;
}
