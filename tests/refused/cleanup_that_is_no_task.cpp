// expect: finally needs a cleanup that returns belay::task<>
#include <belay/runtime/finally.hpp>
#include <belay/runtime/yield.hpp>

belay::task<> close_late() {
    co_await belay::finally(belay::yield(), [] {});
}
