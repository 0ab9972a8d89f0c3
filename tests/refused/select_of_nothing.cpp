// expect: select needs at least one operation
#include <belay/belay.hpp>
belay::task<> wrong() { (void)co_await belay::select(); }
