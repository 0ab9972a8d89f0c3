// reports never-awaited
// std::ranges::for_each calls the function for every item and drops what it returns, without a warning.
#include <belay/belay.hpp>

#include <algorithm>
#include <vector>

namespace {

belay::task<> refund(int) { co_await belay::yield(); }  // <- here

belay::task<> cancel_orders(std::vector<int> orders) {
    std::ranges::for_each(orders, [](int order) { return refund(order); });
    co_return;
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on(cancel_orders({1, 2}));
    return 0;
}
