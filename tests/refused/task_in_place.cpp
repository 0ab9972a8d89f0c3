// expect: block_in_place runs plain functions, and this one returns a belay::task
#include <belay/belay.hpp>
void wrong() {
    belay::block_in_place([]() -> belay::task<> { co_return; });
}
