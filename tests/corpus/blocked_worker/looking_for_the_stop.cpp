// reports blocked-worker
// policy stall=log:20ms
// The loop asks whether it should stop, and so ends in time. Until then nobody else runs on its worker.
#include <belay/belay.hpp>

#include <ctime>

namespace {

belay::task<long> mine() {
    const auto found = std::clock() + CLOCKS_PER_SEC / 2;
    long nonce = 0;
    while (!belay::this_task::stop_requested() && std::clock() < found) ++nonce;
    co_return nonce;
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 2}};
    runtime.block_on(belay::with_scope([](belay::scope& s) -> belay::task<> {
        auto mining = s.spawn(mine);  // <- here
        co_await mining.join();
    }));
    return 0;
}
