// expect: spawn(f, args...) calls f(args...) with its own copies of the arguments, and these do not fit
#include <belay/belay.hpp>
belay::task<> count(int& number);
belay::task<> wrong(belay::scope& s, int number) {
    s.spawn(count, number);  // a reference to what may be gone
    co_return;
}
