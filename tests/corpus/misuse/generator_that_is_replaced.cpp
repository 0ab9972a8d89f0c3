// aborts "an async_generator was moved or destroyed while a task waits in its next()"
// A new search replaces the results that another task is still waiting for.
#include <belay/belay.hpp>

#include <chrono>
#include <functional>

namespace {

belay::async_generator<int> results(int query) {
    co_await belay::sleep_for(std::chrono::milliseconds{20});
    co_yield query;
}

belay::task<> show(belay::async_generator<int>& found) {
    while (co_await found.next()) {}
}

belay::task<> search(belay::scope& s) {
    auto found = results(1);
    auto shown = s.spawn(show, std::ref(found));
    co_await belay::sleep_for(std::chrono::milliseconds{1});
    found = results(2);
    co_await shown.join();
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on(belay::with_scope(search));
    return 0;
}
