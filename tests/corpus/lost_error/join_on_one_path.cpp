// reports lost-error
// The child is joined if somebody wants to see its result; and if nobody does, it fails unseen.
#include <belay/belay.hpp>

#include <stdexcept>

namespace {

belay::task<int> count_lines() {
    throw std::runtime_error("permission denied");
    co_return 0;
}

belay::task<> status(belay::scope& s, bool verbose) {
    auto lines = s.spawn(count_lines);  // <- here
    if (verbose) (void)co_await lines.join();
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on(belay::with_scope({.name = "status", .on_error = belay::on_error::isolate},
                                       [](belay::scope& s) -> belay::task<> { co_await status(s, false); }));
    return 0;
}
