// aborts "started::ready() was called twice"
// A server says that it is ready each time that it listens again.
#include <belay/belay.hpp>

namespace {

belay::task<> serve(belay::started<int> started) {
    for (int attempt = 0; attempt < 2; ++attempt) {
        started.ready(8080 + attempt);
        co_await belay::yield();
    }
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on(belay::with_scope([](belay::scope& s) -> belay::task<> { (void)co_await s.start(serve); }));
    return 0;
}
