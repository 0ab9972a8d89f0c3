// reports blocking-call
// needs guard
// policy stall=off
// The quick way to rotate a log file.
#include <belay/belay.hpp>

#include <cstdlib>

namespace {

belay::task<int> rotate_logs() { co_return std::system("sleep 0.02"); }

belay::task<> every_night(belay::scope& s) {
    auto rotating = s.spawn(rotate_logs);  // <- here
    co_await rotating.join();
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 2}};
    runtime.block_on(belay::with_scope(every_night));
    return 0;
}
