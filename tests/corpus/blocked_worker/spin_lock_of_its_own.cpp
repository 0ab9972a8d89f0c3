// reports blocked-worker
// policy stall=log:20ms
// A spin lock of std::atomic_flag, and somebody who holds it for longer than was thought.
#include <belay/belay.hpp>

#include <atomic>
#include <chrono>
#include <ctime>
#include <mutex>
#include <thread>

namespace {

class spin_lock {
public:
    void lock() {
        while (taken_.test_and_set(std::memory_order_acquire)) {}
    }
    void unlock() { taken_.clear(std::memory_order_release); }

private:
    std::atomic_flag taken_;
};

spin_lock stock_lock;
int stock = 0;
std::atomic<bool> counting{false};

void count_the_stock() {
    std::lock_guard lock{stock_lock};
    counting = true;
    const auto end = std::clock() + CLOCKS_PER_SEC / 2;  // CPU time, which the waiting task uses up
    const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds{5};
    while (std::clock() < end && std::chrono::steady_clock::now() < give_up)
        std::this_thread::sleep_for(std::chrono::milliseconds{1});
    stock = 12;
}

belay::task<int> order() {
    std::lock_guard lock{stock_lock};
    co_return --stock;
}

}  // namespace

int main() {
    std::jthread counts{count_the_stock};
    while (!counting) std::this_thread::yield();
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on(order);  // <- here
    return 0;
}
