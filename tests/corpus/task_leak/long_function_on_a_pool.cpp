// reports task-leak
// The runtime's destructor gives its tasks a grace, and a function on a pool takes longer.
#include <belay/belay.hpp>

#include <atomic>
#include <chrono>
#include <thread>

namespace {

std::atomic<bool> begun{false};
std::atomic<bool> compressed{false};

int compress_file() {
    begun = true;
    while (!compressed) std::this_thread::yield();
    return 1;
}

belay::task<int> compress() {
    co_return co_await belay::spawn_blocking(compress_file);  // <- here
}

}  // namespace

int main() {
    {
        belay::runtime runtime{{.workers = 1, .shutdown_grace = std::chrono::milliseconds{5}}};
        runtime.spawn(compress);
        while (!begun) std::this_thread::yield();
    }
    compressed = true;
    return 0;
}
