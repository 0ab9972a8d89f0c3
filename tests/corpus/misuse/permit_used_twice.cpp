// aborts "permit::send() on an empty permit"
// A place in the channel is reserved once and used for two messages.
#include <belay/belay.hpp>

namespace {

belay::task<> produce() {
    auto [tx, rx] = belay::channel<int>(4);
    auto place = co_await tx.reserve();
    (void)place.send(1);
    (void)place.send(2);
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on(produce);
    return 0;
}
