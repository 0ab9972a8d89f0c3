// aborts "a moved-from channel sender was used"
// The sender was moved to the first producer; the second one gets what is left of it.
#include <belay/belay.hpp>

#include <utility>

namespace {

belay::task<> produce(belay::sender<int> to) { (void)co_await to.send(1); }

belay::task<> program(belay::scope& s) {
    auto [tx, rx] = belay::channel<int>(4);
    for (int i = 0; i < 2; ++i) s.spawn(produce, std::move(tx));
    while (co_await rx.recv()) {}
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on(belay::with_scope(program));
    return 0;
}
