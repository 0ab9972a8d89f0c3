// aborts "next() on an async_generator that was moved from"
// The generator was given to another consumer, and the first one goes on.
#include <belay/belay.hpp>

#include <utility>

namespace {

belay::async_generator<int> lines() {
    co_yield 1;
    co_yield 2;
}

belay::task<> skip_header(belay::async_generator<int> from) { (void)co_await from.next(); }

belay::task<> read_lines() {
    auto from = lines();
    co_await skip_header(std::move(from));
    while (co_await from.next()) {}
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on(read_lines);
    return 0;
}
