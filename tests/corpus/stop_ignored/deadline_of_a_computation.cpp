// reports stop-ignored
// policy stall=off,stop=log:20ms
// A timeout around what computes: it is over when the computation is.
#include <belay/belay.hpp>

#include <chrono>
#include <ctime>

namespace {

belay::task<double> load_model() {
    co_await belay::yield();
    co_return 0.5;
}

belay::task<double> predict() {
    double x = co_await load_model();
    for (const auto end = std::clock() + CLOCKS_PER_SEC / 2; std::clock() < end;) x = x * (1 - x) * 3.9;
    co_return x;
}

belay::task<> answer() {
    (void)co_await belay::try_timeout(std::chrono::milliseconds{5}, predict());  // <- here
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 2}};
    runtime.block_on(answer);
    return 0;
}
