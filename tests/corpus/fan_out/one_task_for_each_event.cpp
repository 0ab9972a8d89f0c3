// reports fan-out
// policy fanout=log
// Tasks are spawned into the runtime faster than they end.
#include <belay/belay.hpp>

#include <atomic>

namespace {

belay::task<> handle(std::atomic<bool>* over) {
    while (!*over) co_await belay::yield();
}

}  // namespace

int main() {
    std::atomic<bool> over{false};
    belay::runtime runtime{{.workers = 1}};
    for (int event = 0; event < 12'000; ++event) runtime.spawn(handle, &over);  // <- here
    over = true;
    return 0;
}
