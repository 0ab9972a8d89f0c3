// reports blocked-worker
// policy stall=log:20ms
// for_each overlaps what waits. What computes is not divided by it.
#include <belay/belay.hpp>

#include <ctime>
#include <vector>

namespace {

int primes_below(int limit) {
    int found = 0;
    for (int n = 2; n < limit; ++n) {
        bool prime = true;
        for (int d = 2; d * d <= n && prime; ++d) prime = n % d != 0;
        found += prime ? 1 : 0;
    }
    return found;
}

belay::task<> solve(int seed) {
    co_await belay::yield();  // <- here
    volatile int sum = 0;
    for (const auto end = std::clock() + CLOCKS_PER_SEC / 2; std::clock() < end;) sum = sum + primes_below(500 + seed);
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    std::vector<int> seeds{1};
    runtime.block_on(belay::for_each(seeds, belay::at_most(2), solve));
    return 0;
}
