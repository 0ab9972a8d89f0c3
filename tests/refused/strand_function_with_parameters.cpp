// expect: strand.run(f) calls f(): capture what the function needs in a lambda
#include <belay/belay.hpp>
belay::task<> wrong(belay::strand& strand) {
    co_await strand.run([](int) {});
}
