// reports lost-error
// The body of the scope fails before the child that it has spawned does.
#include <belay/belay.hpp>

#include <stdexcept>

namespace {

belay::task<> warm_up() {
    throw std::runtime_error("no cache directory");
    co_return;
}

belay::task<> start(belay::scope& s) {
    s.spawn(warm_up);  // <- here
    throw std::runtime_error("port 80 is taken");
    co_return;
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    try {
        runtime.block_on(belay::with_scope({.name = "start"}, start));
    } catch (const std::runtime_error&) {}
    return 0;
}
