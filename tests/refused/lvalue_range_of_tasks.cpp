// expect: so its range is given away: write when_all(std::move(tasks), at_most(n))
#include <belay/belay.hpp>
#include <vector>
belay::task<> wrong(std::vector<belay::task<int>> tasks) { co_await belay::when_all(tasks, belay::at_most(4)); }
