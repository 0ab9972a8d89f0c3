// reports blocked-worker
// policy stall=log:20ms
// A report sorts all measurements of its days, one day after the other.
#include <belay/belay.hpp>

#include <algorithm>
#include <ctime>
#include <random>
#include <vector>

namespace {

/// As many days as fill half a second.
bool another_day() {
    static const auto end = std::clock() + CLOCKS_PER_SEC / 2;
    return std::clock() < end;
}

belay::task<long> medians(std::vector<long> day) {
    long sum = 0;
    for (std::minstd_rand random; another_day();) {
        std::ranges::shuffle(day, random);
        std::ranges::sort(day);
        sum += day[day.size() / 2];
    }
    co_return sum;
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 2}};
    runtime.block_on(medians(std::vector<long>(2000, 7)));  // <- here
    return 0;
}
