// reports deadlock
// policy deadlock=log:20ms
// A task waits for a free place in the scope whose only place it has itself.
#include <belay/belay.hpp>

#include <chrono>
#include <thread>

namespace {

void until_reported() {
    for (int i = 0; i < 500 && belay::guardrails::guardrail_counts()[belay::guardrail::deadlock] == 0; ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds{10});
}

belay::task<> leaf() { co_return; }

belay::task<> branch(belay::scope* s) {
    co_await s->spawn_when_free(leaf);  // <- here
}

belay::task<> work() {
    co_await belay::with_scope({.name = "tree", .max_tasks = 1}, [](belay::scope& s) -> belay::task<> {
        s.spawn(branch, &s);
        co_return;
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
