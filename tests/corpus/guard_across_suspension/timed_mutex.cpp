// reports guard-across-suspension
// needs guard
// To wait for the printer for at most a moment is right. To print with its lock is not.
#include <belay/belay.hpp>

#include <chrono>
#include <mutex>

namespace {

std::timed_mutex printer;

belay::task<> print_page(int) { co_await belay::sleep_for(std::chrono::milliseconds{1}); }

belay::task<bool> print(int pages) {
    if (!printer.try_lock_for(std::chrono::milliseconds{50})) co_return false;
    for (int page = 0; page < pages; ++page) co_await print_page(page);  // <- here
    printer.unlock();
    co_return true;
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on(print(2));
    return 0;
}
