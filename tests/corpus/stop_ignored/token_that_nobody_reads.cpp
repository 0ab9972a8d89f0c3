// reports stop-ignored
// policy stall=off,stop=log:20ms
// The function takes a std::stop_token, looks at it once, and begins.
#include <belay/belay.hpp>

#include <chrono>
#include <functional>
#include <stop_token>
#include <thread>

namespace {

void reindex(const std::stop_token& stop) {
    if (stop.stop_requested()) return;
    for (int table = 0; table < 15; ++table) std::this_thread::sleep_for(std::chrono::milliseconds{40});
}

belay::task<> maintain(belay::blocking_pool& database) {
    co_await database.run([](std::stop_token stop) { reindex(stop); });  // <- here
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    belay::blocking_pool database{runtime, {.name = "database", .max_threads = 1}};
    runtime.block_on(belay::with_scope({.name = "maintenance"}, [&](belay::scope& s) -> belay::task<> {
        s.spawn(maintain, std::ref(database));
        co_await belay::sleep_for(std::chrono::milliseconds{60});
        s.request_stop();
    }));
    return 0;
}
