// reports deadlock
// policy deadlock=log:20ms
// The parent waits for a child that waits for the parent to drop its sender.
#include <belay/belay.hpp>

#include <chrono>
#include <thread>
#include <utility>

namespace {

void until_reported() {
    for (int i = 0; i < 500 && belay::guardrails::guardrail_counts()[belay::guardrail::deadlock] == 0; ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds{10});
}

belay::task<> drain(belay::receiver<int> numbers) {
    while (co_await numbers.recv()) {}  // <- here
}

belay::task<> work() {
    auto [tx, rx] = belay::channel<int>(4);
    co_await belay::with_scope([&](belay::scope& s) -> belay::task<> {
        s.spawn(drain, std::move(rx));
        co_await tx.send(1);
    });
}

}  // namespace

int main() {
    belay::runtime runtime;
    auto job = runtime.spawn(work);
    until_reported();
    job.request_stop();
    return 0;
}
