// reports blocking-call
// needs guard
// policy stall=off
// std::atomic::wait() in place of an event that can be awaited.
#include <belay/belay.hpp>

#include <atomic>
#include <chrono>
#include <thread>

namespace {

std::atomic<bool> asked{false};
std::atomic<int> generation{0};

belay::task<int> next_generation() {
    int seen = generation;
    asked = true;
    generation.wait(seen);
    co_return generation;
}

}  // namespace

int main() {
    std::jthread writer{[] {
        while (!asked) std::this_thread::yield();
        std::this_thread::sleep_for(std::chrono::milliseconds{100});
        ++generation;
        generation.notify_all();
    }};
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on(next_generation);  // <- here
    return 0;
}
