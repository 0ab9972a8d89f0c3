// expect: forgotten limit: a range may have any number of tasks
#include <belay/belay.hpp>
#include <vector>
belay::task<> wrong(std::vector<belay::task<int>> tasks) { co_await belay::when_all(std::move(tasks)); }
