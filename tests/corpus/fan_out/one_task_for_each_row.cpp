// reports fan-out
// policy fanout=log
// A task for each row, and nobody knows how many rows there are.
#include <belay/belay.hpp>

namespace {

belay::task<> import(int) { co_await belay::yield(); }

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on(belay::with_scope({.name = "import"}, [](belay::scope& s) -> belay::task<> {
        for (int row = 0; row < 12'000; ++row) s.spawn(import, row);  // <- here
        co_return;
    }));
    return 0;
}
