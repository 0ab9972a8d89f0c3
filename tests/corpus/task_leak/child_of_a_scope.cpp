// reports task-leak
// The task that is left behind is a child; in the report stands whoever waits for its scope.
#include <belay/belay.hpp>

#include <chrono>
#include <thread>

namespace {

belay::task<> upload(int) {
    co_await belay::spawn_blocking([] { std::this_thread::sleep_for(std::chrono::milliseconds{600}); });
}

belay::task<> synchronise() {
    auto uploads = [](belay::scope& s) -> belay::task<> {
        for (int file = 0; file < 3; ++file) s.spawn(upload, file);
        co_return;
    };
    co_await belay::with_scope({.name = "uploads"}, uploads);  // <- here
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 2}};
    runtime.spawn(synchronise);
    runtime.block_on(belay::as_task(belay::sleep_for(std::chrono::milliseconds{60})));
    (void)runtime.shutdown(std::chrono::milliseconds{5});
    return 0;
}
