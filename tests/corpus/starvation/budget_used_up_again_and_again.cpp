// reports starvation
// policy starve=log:40ms,stall=log:1s
// The backlog is never empty, so a consumer never waits. It yields when its budget of 128 messages is used up, and timers wait for 61 such polls.
#include <belay/belay.hpp>

#include <chrono>
#include <ctime>
#include <utility>

namespace {

bool reported() { return belay::guardrails::guardrail_counts()[belay::guardrail::starvation] != 0; }

void index_message(int) {
    for (const auto end = std::clock() + CLOCKS_PER_SEC / 10'000; std::clock() < end;) {}
}

belay::task<> index_backlog(belay::sender<int> more, belay::receiver<int> backlog) {
    for (int i = 0; i < 200'000 && !reported(); ++i) {
        if (!more.try_send(i)) co_return;
        if (auto next = co_await backlog.recv()) index_message(*next);
    }
}

belay::task<> heartbeat() {
    for (int beats = 0; beats < 5'000 && !reported(); ++beats) co_await belay::sleep_for(std::chrono::milliseconds{1});
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on(belay::with_scope([](belay::scope& s) -> belay::task<> {
        s.spawn(heartbeat);
        auto [tx, rx] = belay::channel<int>(16);
        co_await s.spawn(index_backlog, std::move(tx), std::move(rx)).join();  // <- here
    }));
    return 0;
}
