// reports deadlock
// policy deadlock=log:20ms
// A task is handed its own handle and joins it.
#include <belay/belay.hpp>

#include <chrono>
#include <thread>
#include <utility>

namespace {

void until_reported() {
    for (int i = 0; i < 500 && belay::guardrails::guardrail_counts()[belay::guardrail::deadlock] == 0; ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds{10});
}

belay::task<> wait_for_all(belay::receiver<belay::join_handle<>> tasks) {
    while (auto next = co_await tasks.recv()) co_await next->join();  // <- here
}

belay::task<> work() {
    co_await belay::with_scope([](belay::scope& s) -> belay::task<> {
        auto [tx, rx] = belay::channel<belay::join_handle<>>(4);
        auto waiter = s.spawn(wait_for_all, std::move(rx));
        co_await tx.send(std::move(waiter));
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
