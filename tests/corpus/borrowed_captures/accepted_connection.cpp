// reports borrowed-captures
// spawn_when_free is given the call of a lambda, made anew in each turn of the loop that accepts.
#include <belay/belay.hpp>

#include <chrono>

namespace {

belay::task<> count(int) { co_await belay::yield(); }

belay::task<> accept_all(belay::scope& s) {
    for (int peer = 0; peer < 2; ++peer) {
        auto serve = [peer]() -> belay::task<> { co_await count(peer); };
        co_await s.spawn_when_free(serve());  // <- here
        co_await belay::sleep_for(std::chrono::milliseconds{1});
    }
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on(belay::with_scope({.max_tasks = 4}, accept_all));
    return 0;
}
