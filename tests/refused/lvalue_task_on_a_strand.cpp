// expect: run takes a task over: write strand.run(std::move(t))
#include <belay/belay.hpp>
belay::task<> wrong(belay::strand& strand, belay::task<> t) { co_await strand.run(t); }
