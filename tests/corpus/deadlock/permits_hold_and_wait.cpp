// reports deadlock
// policy deadlock=log:20ms
// Each of two tasks has one of two connections and waits for the other one.
#include <belay/belay.hpp>

#include <chrono>
#include <thread>

namespace {

void until_reported() {
    for (int i = 0; i < 500 && belay::guardrails::guardrail_counts()[belay::guardrail::deadlock] == 0; ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds{10});
}

belay::task<> copy(belay::semaphore* connections, belay::event* both) {
    auto source = co_await connections->acquire();
    co_await both->wait();
    auto target = co_await connections->acquire();  // <- here
}

belay::task<> work() {
    belay::semaphore connections{2};
    belay::event both;
    co_await belay::with_scope([&](belay::scope& s) -> belay::task<> {
        s.spawn(copy, &connections, &both);
        s.spawn(copy, &connections, &both);
        while (connections.available() != 0) co_await belay::yield();
        both.set();
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
