// aborts "two tasks wait in next() of one async_generator"
// Two tasks share the work by taking turns with one generator, without taking turns.
#include <belay/belay.hpp>

#include <chrono>
#include <functional>

namespace {

belay::async_generator<int> pages() {
    for (int page = 0; page < 4; ++page) {
        co_await belay::sleep_for(std::chrono::milliseconds{1});
        co_yield page;
    }
}

belay::task<> crawl(belay::async_generator<int>& from) {
    while (co_await from.next()) {}
}

belay::task<> program() {
    auto all = pages();
    co_await belay::when_all(crawl(all), crawl(all));
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on(program);
    return 0;
}
