// reports borrowed-captures
// A lambda that captures `this` is called. It lives until the end of the statement, which waits for the task: today.
#include <belay/belay.hpp>

namespace {

class monitor {
public:
    belay::task<> start(belay::scope& s) {
        co_await s.spawn([this]() -> belay::task<int> { co_return ++beats_; }()).join();  // <- here
    }

private:
    int beats_ = 0;
};

}  // namespace

int main() {
    monitor heart;
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on(belay::with_scope([&](belay::scope& s) { return heart.start(s); }));
    return 0;
}
