// expect: block_in_place(f) calls f(), and this callable takes arguments: capture what it needs
#include <belay/belay.hpp>
void wrong() {
    belay::block_in_place([](int) {});
}
