// reports blocked-worker
// policy stall=log:20ms
// try_recv() in a loop, in place of recv(): it never waits, so it never lets anybody else run.
#include <belay/belay.hpp>

#include <chrono>
#include <ctime>
#include <thread>
#include <utility>

namespace {

belay::task<int> work_off(belay::receiver<int> jobs) {
    int done = 0;
    while (!jobs.closed())
        while (auto job = jobs.try_recv()) done += *job;
    co_return done;
}

}  // namespace

int main() {
    auto [tx, rx] = belay::channel<int>(8);
    std::jthread producer{[to = std::move(tx)]() mutable {
        const auto end = std::clock() + CLOCKS_PER_SEC / 2;  // CPU time, which the polling task uses up
        const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds{5};
        while (std::clock() < end && std::chrono::steady_clock::now() < give_up) {
            (void)to.try_send(1);
            std::this_thread::sleep_for(std::chrono::milliseconds{1});
        }
        to.close();
    }};
    belay::runtime runtime{{.workers = 2}};
    runtime.block_on(work_off(std::move(rx)));  // <- here
    return 0;
}
