// aborts "two tasks receive from one channel at once"
// A channel for several consumers, as in Go. Here a channel has one.
#include <belay/belay.hpp>

#include <functional>

namespace {

belay::task<> consume(belay::receiver<int>& jobs) {
    while (co_await jobs.recv()) {}
}

belay::task<> program(belay::scope& s) {
    auto [tx, rx] = belay::channel<int>(16);
    co_await belay::with_scope([&](belay::scope& consumers) -> belay::task<> {
        for (int i = 0; i < 2; ++i) consumers.spawn(consume, std::ref(rx));
        co_await belay::yield();
        tx.close();
    });
    s.request_stop();
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on(belay::with_scope(program));
    return 0;
}
