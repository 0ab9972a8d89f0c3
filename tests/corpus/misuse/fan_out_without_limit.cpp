// aborts "the scope already holds max_tasks tasks"
// One task for each item, however many there are: the scope's limit says no, and so ends the program.
#include <belay/belay.hpp>

#include <chrono>

namespace {

belay::task<> crawl(int) { co_await belay::sleep_for(std::chrono::milliseconds{1}); }

belay::task<> crawl_all(belay::scope& s) {
    for (int page = 0; page < 1000; ++page) s.spawn(crawl, page);
    co_return;
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on(belay::with_scope({.name = "crawlers", .max_tasks = 100}, crawl_all));
    return 0;
}
