// reports task-leak
// policy stall=off,block=off
// At the end of the program a task sleeps in a call of the C library.
#include <belay/belay.hpp>

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <thread>

namespace {

std::atomic<bool> begun{false};

belay::task<> heartbeat() {
    for (int beat = 0; beat < 2; ++beat) {
        begun = true;
        ::usleep(500'000);
        co_await belay::yield();
    }
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 2}};
    runtime.spawn(heartbeat);  // <- here
    while (!begun) std::this_thread::yield();
    (void)runtime.shutdown(std::chrono::milliseconds{5});
    return 0;
}
