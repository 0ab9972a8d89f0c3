// aborts "a strand was destroyed while a function runs on it or tasks wait for it"
// The device with its strand is replaced while a task is in there.
#include <belay/belay.hpp>

#include <chrono>
#include <functional>
#include <memory>

namespace {

struct device {
    belay::strand commands;
};

belay::task<> calibrate(device& d) {
    co_await d.commands.run([]() -> belay::task<> { co_await belay::sleep_for(std::chrono::milliseconds{20}); });
}

belay::task<> reconnect(belay::scope& s) {
    auto current = std::make_unique<device>();
    s.spawn(calibrate, std::ref(*current));
    co_await belay::sleep_for(std::chrono::milliseconds{1});
    current = std::make_unique<device>();
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on(belay::with_scope(reconnect));
    return 0;
}
