// reports pool-saturated
// policy pool=log:20ms
// Backups take all threads of the pool that everything else uses too.
#include <belay/belay.hpp>

#include <chrono>
#include <thread>

namespace {

void back_up() {
    for (int i = 0; i < 500 && belay::guardrails::guardrail_counts()[belay::guardrail::pool_saturated] == 0; ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds{10});
}

belay::task<> back_up_all() {
    co_await belay::spawn_blocking(back_up);  // <- here
}

}  // namespace

int main() {
    belay::runtime runtime{{.blocking_threads = 2}};
    runtime.block_on(belay::with_scope([](belay::scope& s) -> belay::task<> {
        for (int disk = 0; disk < 3; ++disk) s.spawn(back_up_all);
        co_return;
    }));
    return 0;
}
