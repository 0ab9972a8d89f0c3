// reports blocked-worker
// policy stall=log:20ms
// The task waits for a flag by looking at it.
#include <belay/belay.hpp>

#include <atomic>
#include <chrono>
#include <ctime>
#include <thread>

namespace {

std::atomic<bool> loaded{false};

void load() {
    const auto end = std::clock() + CLOCKS_PER_SEC / 2;  // CPU time, which the waiting task uses up
    const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds{5};
    while (std::clock() < end && std::chrono::steady_clock::now() < give_up)
        std::this_thread::sleep_for(std::chrono::milliseconds{1});
    loaded = true;
}

belay::task<> when_loaded() {
    co_await belay::yield();  // <- here
    while (!loaded) {}
}

}  // namespace

int main() {
    std::jthread loading{load};
    belay::runtime runtime{{.workers = 2}};
    runtime.block_on(when_loaded);
    return 0;
}
