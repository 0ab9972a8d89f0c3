// reports guard-across-suspension
// A counter's sync_mutex stays locked while the new value is announced.
#include <belay/belay.hpp>

namespace {

struct visits {
    belay::sync_mutex mutex;
    int count = 0;
};

belay::task<> announce(int) { co_await belay::yield(); }

belay::task<> count_a_visit(visits& all) {
    belay::sync_lock lock{all.mutex};  // <- here
    ++all.count;
    co_await announce(all.count);
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    visits all;
    runtime.block_on(count_a_visit(all));
    return 0;
}
