// reports stop-ignored
// policy stall=off,stop=log:20ms
// block_in_place() keeps the other tasks running, and is itself not interrupted by a stop.
#include <belay/belay.hpp>

#include <chrono>
#include <thread>

namespace {

belay::task<> save() {
    co_await belay::yield();  // <- here
    belay::block_in_place([] { std::this_thread::sleep_for(std::chrono::milliseconds{600}); });
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 2}};
    runtime.block_on(belay::with_scope({.name = "documents"}, [](belay::scope& s) -> belay::task<> {
        s.spawn(save);
        co_await belay::sleep_for(std::chrono::milliseconds{60});
        s.request_stop();
    }));
    return 0;
}
