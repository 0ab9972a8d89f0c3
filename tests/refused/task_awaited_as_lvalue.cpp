// expect: a task is awaited once, as an rvalue: write co_await std::move(your_task)
#include <belay/belay.hpp>
belay::task<int> one();
belay::task<> wrong() {
    auto task = one();
    co_await task;
}
