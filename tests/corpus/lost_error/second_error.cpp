// reports lost-error
// Two of the checks fail. with_scope rethrows one of the errors, and the other one is seen by nobody.
#include <belay/belay.hpp>

#include <stdexcept>
#include <string>

namespace {

belay::task<> check(int part) {
    throw std::runtime_error("part " + std::to_string(part) + " is damaged");
    co_return;
}

belay::task<> check_all(belay::scope& s) {
    for (int part = 0; part < 2; ++part) s.spawn(check, part);  // <- here
    co_return;
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    try {
        runtime.block_on(belay::with_scope({.name = "checks"}, check_all));
    } catch (const std::runtime_error&) {}
    return 0;
}
