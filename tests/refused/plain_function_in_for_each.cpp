// expect: f must return a belay::task or another awaitable
#include <belay/belay.hpp>
#include <vector>
belay::task<> wrong(std::vector<int> items) {
    co_await belay::for_each(items, belay::at_most(4), [](int) {});
}
