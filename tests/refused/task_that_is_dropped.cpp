// expect: a task does nothing until it is awaited or spawned: write co_await f(), or scope.spawn(f)
// flags: -Werror=unused-result
#include <belay/belay.hpp>
belay::task<> some();
belay::task<> wrong() {
    some();
    co_return;
}
