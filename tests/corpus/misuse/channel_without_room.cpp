// aborts "a channel's capacity must be at least 1"
// An unbuffered channel, as it is the default in Go.
#include <belay/belay.hpp>

namespace {

belay::task<> program() {
    auto [tx, rx] = belay::channel<int>(0);
    (void)co_await tx.send(1);
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on(program);
    return 0;
}
