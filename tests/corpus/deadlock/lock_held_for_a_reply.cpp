// reports deadlock
// policy deadlock=log:20ms
// The reply needs the lock that its receiver holds while it waits.
#include <belay/belay.hpp>

#include <chrono>
#include <thread>
#include <utility>

namespace {

void until_reported() {
    for (int i = 0; i < 500 && belay::guardrails::guardrail_counts()[belay::guardrail::deadlock] == 0; ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds{10});
}

belay::task<> reply(belay::mutex* state, belay::sender<int> to) {
    auto guard = co_await state->lock();  // <- here
    co_await to.send(42);
}

belay::task<> work() {
    belay::mutex state;
    co_await belay::with_scope([&](belay::scope& s) -> belay::task<> {
        auto guard = co_await state.lock();
        auto [tx, rx] = belay::channel<int>(1);
        s.spawn(reply, &state, std::move(tx));
        if (auto answer = co_await rx.recv()) co_return;
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
