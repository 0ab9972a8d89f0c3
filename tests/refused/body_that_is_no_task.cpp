// expect: with_scope needs a body that returns belay::task<T>
#include <belay/belay.hpp>
belay::task<> wrong() {
    co_await belay::with_scope([](belay::scope&) {});
}
