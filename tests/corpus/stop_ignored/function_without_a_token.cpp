// reports stop-ignored
// policy stall=off,stop=log:20ms
// A function on the blocking pool takes no std::stop_token, so it goes on to its end.
#include <belay/belay.hpp>

#include <chrono>
#include <thread>

namespace {

int copy_to_tape() {
    for (int block = 0; block < 30; ++block) std::this_thread::sleep_for(std::chrono::milliseconds{20});
    return 30;
}

belay::task<int> back_up() {
    co_return co_await belay::spawn_blocking(copy_to_tape);  // <- here
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on(belay::with_scope({.name = "backups"}, [](belay::scope& s) -> belay::task<> {
        s.spawn(back_up);
        co_await belay::sleep_for(std::chrono::milliseconds{60});
        s.request_stop();
    }));
    return 0;
}
