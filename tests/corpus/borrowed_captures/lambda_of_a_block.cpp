// reports borrowed-captures
// The lambda has a name and lives in a block that ends before the tasks do.
#include <belay/belay.hpp>

namespace {

belay::task<> resize(const int&, int) { co_return; }

belay::task<> resize_all(belay::scope& s) {
    int width = 100;
    {
        auto work = [&width](int picture) -> belay::task<> { co_await resize(width, picture); };
        for (int picture = 0; picture < 2; ++picture) co_await s.spawn(work(picture)).join();  // <- here
    }
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on(belay::with_scope(resize_all));
    return 0;
}
