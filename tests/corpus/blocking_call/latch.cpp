// reports blocking-call
// needs guard
// policy stall=off
// At the start the first request waits for the caches, which threads fill.
#include <belay/belay.hpp>

#include <atomic>
#include <chrono>
#include <latch>
#include <thread>

namespace {

std::latch caches_filled{1};
std::atomic<bool> asked{false};

belay::task<int> handle(int request) {
    asked = true;
    caches_filled.wait();
    co_return request;
}

belay::task<> serve() {
    for (int request = 0; request < 2; ++request) co_await handle(request);  // <- here
}

}  // namespace

int main() {
    std::jthread filling{[] {
        while (!asked) std::this_thread::yield();
        std::this_thread::sleep_for(std::chrono::milliseconds{100});
        caches_filled.count_down();
    }};
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on(serve);
    return 0;
}
