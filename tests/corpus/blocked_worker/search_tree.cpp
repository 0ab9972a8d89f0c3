// reports blocked-worker
// policy stall=log:20ms
// A recursive search: small for small boards.
#include <belay/belay.hpp>

#include <chrono>
#include <ctime>

namespace {

int queens(int n, unsigned columns, unsigned left, unsigned right) {
    const unsigned all = (1U << static_cast<unsigned>(n)) - 1;
    if (columns == all) return 1;
    int solutions = 0;
    for (unsigned free = all & ~(columns | left | right); free != 0; free &= free - 1) {
        unsigned place = free & (0U - free);
        solutions += queens(n, columns | place, (left | place) << 1U, (right | place) >> 1U);
    }
    return solutions;
}

belay::task<int> solve(int n) {
    int solutions = 0;
    for (const auto end = std::clock() + CLOCKS_PER_SEC / 2; std::clock() < end;) solutions = queens(n, 0, 0, 0);
    co_return solutions;
}

belay::task<int> answer(int n) {
    int solutions = co_await solve(n);  // <- here
    co_return solutions;
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on(belay::timeout(std::chrono::seconds{10}, answer(6)));
    return 0;
}
