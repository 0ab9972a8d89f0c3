// expect: spawn needs a callable that returns belay::task<T>; for a plain function write spawn_blocking(f)
#include <belay/belay.hpp>
int plain();
belay::task<> wrong(belay::scope& s) {
    s.spawn(plain);
    co_return;
}
