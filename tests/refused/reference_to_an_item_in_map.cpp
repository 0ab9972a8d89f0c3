// expect: take it by value. To work on the caller's objects pass a range of pointers
#include <belay/belay.hpp>
#include <vector>
belay::task<> wrong(std::vector<int> items) {
    co_await belay::for_each(items, belay::at_most(4), [](int& n) -> belay::task<> {
        ++n;
        co_return;
    });
}
