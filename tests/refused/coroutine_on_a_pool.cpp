// expect: a pool runs plain functions, and this one returns a belay::task
#include <belay/belay.hpp>
belay::task<int> answer();
belay::task<> wrong() { co_await belay::spawn_blocking(answer); }
