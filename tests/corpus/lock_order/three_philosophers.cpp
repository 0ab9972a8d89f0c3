// reports lock-order
// Each takes the fork at his left first, and they have eaten one after the other so far.
#include <belay/belay.hpp>

#include <array>
#include <cstddef>

namespace {

belay::task<> eat(std::array<belay::mutex, 3>* forks, std::size_t seat) {
    auto left = co_await (*forks)[seat].lock();
    auto right = co_await (*forks)[(seat + 1) % forks->size()].lock();  // <- here
}

}  // namespace

int main() {
    belay::runtime runtime;
    std::array<belay::mutex, 3> forks;
    for (std::size_t seat = 0; seat < forks.size(); ++seat) runtime.block_on(eat(&forks, seat));
    return 0;
}
