// reports blocking-call
// needs guard
// policy stall=off
// The cleanup of a finally() gives the hardware time to come to rest: it may await, and does not.
#include <belay/belay.hpp>

#include <chrono>
#include <thread>

namespace {

belay::task<> drill() { co_await belay::yield(); }

belay::task<> stop_motor() {
    std::this_thread::sleep_for(std::chrono::milliseconds{10});
    co_return;
}

belay::task<> job() {
    auto cleanup = []() -> belay::task<> {
        co_await stop_motor();  // <- here
    };
    co_await belay::finally(drill(), cleanup);
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on(job);
    return 0;
}
