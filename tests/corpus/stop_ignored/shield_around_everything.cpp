// reports stop-ignored
// policy stall=off,stop=log:20ms
// also cleanup-overrun
// A shield gives its work ten milliseconds after a stop. What cannot be stopped takes as long as it likes.
#include <belay/belay.hpp>

#include <chrono>
#include <thread>

namespace {

belay::task<> write_report() {
    co_await belay::spawn_blocking([] { std::this_thread::sleep_for(std::chrono::milliseconds{600}); });
}

belay::task<> finish() {
    co_await belay::shield(write_report(), std::chrono::milliseconds{10});  // <- here
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on(belay::with_scope({.name = "reports"}, [](belay::scope& s) -> belay::task<> {
        s.spawn(finish);
        co_await belay::sleep_for(std::chrono::milliseconds{60});
        s.request_stop();
    }));
    return 0;
}
