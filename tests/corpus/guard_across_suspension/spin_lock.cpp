// reports guard-across-suspension
// needs guard
// A spin lock is meant for a few instructions; here a full channel is among them.
#include <belay/belay.hpp>

#include <pthread.h>

#include <chrono>
#include <functional>
#include <utility>

namespace {

struct counters {
    pthread_spinlock_t lock{};
    int sent = 0;
};

belay::task<> publish(counters& c, belay::sender<int> tx) {
    ::pthread_spin_lock(&c.lock);
    co_await tx.send(++c.sent);
    co_await tx.send(++c.sent);  // <- here
    ::pthread_spin_unlock(&c.lock);
}

belay::task<> program(belay::scope& s) {
    counters c;
    ::pthread_spin_init(&c.lock, PTHREAD_PROCESS_PRIVATE);
    auto [tx, rx] = belay::channel<int>(1);
    auto publishing = s.spawn(publish, std::ref(c), std::move(tx));
    co_await belay::sleep_for(std::chrono::milliseconds{2});
    while (co_await rx.recv()) {}
    co_await publishing.join();
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on(belay::with_scope(program));
    return 0;
}
