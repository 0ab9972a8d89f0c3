// reports task-leak
// policy stall=off
// The program ends while a task computes, and the task has nowhere to hear of it.
#include <belay/belay.hpp>

#include <atomic>
#include <chrono>
#include <memory>
#include <thread>

namespace {

struct progress {
    std::atomic<bool> begun{false};
    std::atomic<bool> enough{false};
};

belay::task<long> approximate(std::shared_ptr<progress> so_far) {
    so_far->begun = true;
    long steps = 0;
    while (!so_far->enough) ++steps;
    co_return steps;
}

}  // namespace

int main() {
    auto so_far = std::make_shared<progress>();
    belay::runtime runtime{{.workers = 1}};
    runtime.spawn(approximate, so_far);  // <- here
    while (!so_far->begun) std::this_thread::yield();
    (void)runtime.shutdown(std::chrono::milliseconds{1});
    so_far->enough = true;
    return 0;
}
