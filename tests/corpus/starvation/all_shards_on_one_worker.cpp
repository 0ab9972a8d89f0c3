// reports starvation
// policy starve=log:40ms,stall=log:1s
// The number of the worker is that of the shard, which is the same for all: one worker has everything to do, and nobody may help.
#include <belay/belay.hpp>

#include <ctime>

namespace {

constexpr unsigned shards = 1;  // was to come from a file

bool reported() { return belay::guardrails::guardrail_counts()[belay::guardrail::starvation] != 0; }

void serve_batch() {
    for (const auto end = std::clock() + CLOCKS_PER_SEC / 100; std::clock() < end;) {}
}

belay::task<> serve(unsigned) {
    for (int batches = 0; batches < 100 && !reported(); ++batches) {
        serve_batch();
        co_await belay::yield();
    }
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 2}};
    runtime.block_on(belay::with_scope([](belay::scope& s) -> belay::task<> {
        for (unsigned client = 0; client < 20; ++client) s.spawn_on(client % shards, serve, client);  // <- here
        co_return;
    }));
    return 0;
}
