// reports task-leak
// The window is closed while its local_runtime waits for a reply that cannot be called off.
#include <belay/belay.hpp>

#include <chrono>
#include <thread>

namespace {

belay::task<> search_the_web() {
    co_await belay::spawn_blocking([] { std::this_thread::sleep_for(std::chrono::milliseconds{600}); });
}

belay::task<> on_key_press() {
    co_await belay::when_all(search_the_web(), belay::yield());  // <- here
}

}  // namespace

int main() {
    belay::local_runtime window{{.shutdown_grace = std::chrono::milliseconds{5}}};
    window.spawn(on_key_press);
    window.run_for(std::chrono::milliseconds{60});
    return 0;
}
