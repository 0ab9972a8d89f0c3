// expect: it must be callable as const: write the lambda without
#include <belay/belay.hpp>
#include <vector>
belay::task<> wrong(std::vector<int> items) {
    co_await belay::map(items, belay::at_most(4), [sum = 0](int n) mutable -> belay::task<int> { co_return sum += n; });
}
