// reports blocking-call
// needs guard
// policy stall=off
// Connections are limited by a std::counting_semaphore, which blocks where belay::semaphore would suspend.
#include <belay/belay.hpp>

#include <chrono>
#include <semaphore>

namespace {

std::counting_semaphore<8> connections{0};  // all taken

belay::task<bool> query(int) {
    if (!connections.try_acquire_for(std::chrono::milliseconds{50})) co_return false;
    connections.release();
    co_return true;
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 2}};
    runtime.block_on(belay::with_scope([](belay::scope& s) -> belay::task<> {
        for (int i = 0; i < 2; ++i) s.spawn(query, i);  // <- here
        co_return;
    }));
    return 0;
}
