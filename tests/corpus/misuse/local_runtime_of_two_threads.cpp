// aborts "two threads drive a local_runtime at the same time"
// Another thread has work for the local_runtime, and polls it, to have it done at once.
#include <belay/belay.hpp>

#include <atomic>
#include <chrono>
#include <thread>

namespace {

std::atomic<bool> runs{false};

belay::task<> show_window() {
    runs = true;
    co_await belay::sleep_for(std::chrono::milliseconds{500});
}

belay::task<> redraw() { co_return; }

}  // namespace

int main() {
    belay::local_runtime window;
    std::jthread network{[&] {
        while (!runs) std::this_thread::yield();
        window.spawn(redraw);
        window.poll();
    }};
    window.run_until(show_window);
    return 0;
}
