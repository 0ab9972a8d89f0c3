// expect: start(f, args...) needs an f that takes a belay::started<T> first
#include <belay/runtime/scope.hpp>

belay::task<> serve(int port);

belay::task<> begin(belay::scope& s) { co_await s.start(serve, 80); }
