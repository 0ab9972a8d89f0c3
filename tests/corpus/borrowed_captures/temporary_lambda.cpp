// reports borrowed-captures
// The lambda is called and not spawned: it ends with this statement, and with it the copy of `visitors` that the task reads.
#include <belay/belay.hpp>

namespace {

belay::task<> greet(belay::scope& s, int visitors) {
    s.spawn([visitors]() -> belay::task<int> { co_return visitors; }());  // <- here
    co_return;
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on(belay::with_scope([](belay::scope& s) -> belay::task<> { co_await greet(s, 3); }));
    return 0;
}
