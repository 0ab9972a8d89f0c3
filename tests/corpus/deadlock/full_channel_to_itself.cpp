// reports deadlock
// policy deadlock=log:20ms
// A task fills a queue that only it would empty, afterwards.
#include <belay/belay.hpp>

#include <chrono>
#include <thread>

namespace {

void until_reported() {
    for (int i = 0; i < 500 && belay::guardrails::guardrail_counts()[belay::guardrail::deadlock] == 0; ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds{10});
}

belay::task<> work() {
    auto [tx, rx] = belay::channel<int>(2);
    for (int i = 0; i < 3; ++i) co_await tx.send(i);  // <- here
    while (auto next = rx.try_recv()) {}
}

}  // namespace

int main() {
    belay::runtime runtime;
    auto job = runtime.spawn(work);
    until_reported();
    job.request_stop();
    return 0;
}
