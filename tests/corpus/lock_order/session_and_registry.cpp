// reports lock-order
// An asynchronous lock taken under a synchronous one here, and the other way round there.
#include <belay/belay.hpp>

#include <set>

namespace {

struct session {
    belay::mutex writing;
    int id = 0;
};
struct registry {
    belay::sync_mutex lock;
    std::set<session*> open;
};

belay::task<> close(registry* all, session* one) {
    auto writing = co_await one->writing.lock();
    belay::sync_lock guard{all->lock};
    all->open.erase(one);
}

belay::task<> broadcast(registry* all) {
    belay::sync_lock guard{all->lock};
    for (session* one : all->open) {
        auto writing = co_await one->writing.lock();  // <- here
        ++one->id;
    }
}

}  // namespace

int main() {
    belay::runtime runtime;
    registry all;
    session one;
    session two;
    all.open = {&one, &two};
    runtime.block_on(close(&all, &one));
    all.open = {&one, &two};
    runtime.block_on(broadcast(&all));
    return 0;
}
