// reports deadlock
// policy deadlock=log:20ms
// Both ends of every channel of a select are in the selecting task.
#include <belay/belay.hpp>

#include <chrono>
#include <thread>

namespace {

void until_reported() {
    for (int i = 0; i < 500 && belay::guardrails::guardrail_counts()[belay::guardrail::deadlock] == 0; ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds{10});
}

belay::task<> work() {
    auto [tx1, rx1] = belay::channel<int>(1);
    auto [tx2, rx2] = belay::channel<int>(1);
    auto won = co_await belay::select(rx1.recv(), rx2.recv());  // <- here
    if (won.index() == 0) co_await tx2.send(1);
}

}  // namespace

int main() {
    belay::runtime runtime;
    auto job = runtime.spawn(work);
    until_reported();
    job.request_stop();
    return 0;
}
