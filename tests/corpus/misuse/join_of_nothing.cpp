// aborts "join() on an empty join_handle"
// try_spawn() says by an empty handle that there was no room. Nobody looks.
#include <belay/belay.hpp>

#include <chrono>

namespace {

belay::task<int> request(int id) {
    co_await belay::sleep_for(std::chrono::milliseconds{5});
    co_return id;
}

belay::task<> program(belay::scope& s) {
    auto first = s.try_spawn(request, 1);
    auto second = s.try_spawn(request, 2);
    (void)co_await first.join();
    (void)co_await second.join();
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on(belay::with_scope({.max_tasks = 1}, program));
    return 0;
}
