// reports never-awaited
// The task is in a variable, to be awaited below. Below it says `co_await` of something else.
#include <belay/belay.hpp>

namespace {

belay::task<int> load_prices() { co_return 3; }  // <- here
belay::task<int> load_stock() { co_return 4; }

belay::task<int> offers() {
    auto prices = load_prices();
    auto stock = load_stock();
    co_return co_await std::move(stock);
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on(offers);
    return 0;
}
