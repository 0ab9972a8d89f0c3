// reports borrowed-captures
// A task of the runtime outlives the function that spawned it, and so the lambda whose captures it reads.
#include <belay/belay.hpp>

#include <algorithm>
#include <chrono>

namespace {

belay::join_handle<> start_timer(belay::runtime& in, std::chrono::milliseconds after) {
    auto timer = [after]() -> belay::task<> { co_await belay::sleep_for(std::min(after, std::chrono::milliseconds{1})); };
    return in.spawn(timer());  // <- here
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    auto timer = start_timer(runtime, std::chrono::milliseconds{1});
    runtime.block_on([&]() -> belay::task<> { co_await timer.join(); });
    return 0;
}
