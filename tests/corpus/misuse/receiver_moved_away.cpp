// aborts "a moved-from channel receiver was used"
// The receiver was given to a task, and then somebody wants to know how full the channel is.
#include <belay/belay.hpp>

#include <utility>

namespace {

belay::task<> consume(belay::receiver<int> from) {
    while (co_await from.recv()) {}
}

belay::task<std::size_t> program(belay::scope& s) {
    auto [tx, rx] = belay::channel<int>(4);
    s.spawn(consume, std::move(rx));
    (void)co_await tx.send(1);
    co_return rx.size();
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on(belay::with_scope(program));
    return 0;
}
