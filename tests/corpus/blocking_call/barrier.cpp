// reports blocking-call
// needs guard
// policy stall=off
// A task takes part in the steps of a simulation that is otherwise made of threads.
#include <belay/belay.hpp>

#include <atomic>
#include <barrier>
#include <chrono>
#include <thread>

namespace {

std::barrier<> step{2};
std::atomic<bool> arrives{false};

belay::task<> simulate_wind() {
    co_await belay::yield();  // <- here
    arrives = true;
    step.arrive_and_wait();
}

}  // namespace

int main() {
    std::jthread simulates_water{[] {
        while (!arrives) std::this_thread::yield();
        std::this_thread::sleep_for(std::chrono::milliseconds{100});
        step.arrive_and_wait();
    }};
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on(simulate_wind);
    return 0;
}
