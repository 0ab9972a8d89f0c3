// expect: a task is awaited once and is given away for it: write std::move(your_task)
#include <belay/belay.hpp>
belay::task<int> one();
belay::task<> wrong() {
    auto task = one();
    co_await belay::when_all(task, one());
}
