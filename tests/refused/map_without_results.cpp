// expect: map collects results and f has none: write for_each(range, at_most(n), f)
#include <belay/belay.hpp>
#include <vector>
belay::task<> wrong(std::vector<int> items) {
    co_await belay::map(items, belay::at_most(4), [](int) -> belay::task<> { co_return; });
}
