// reports stop-ignored
// policy stall=off,stop=log:20ms
// One download failed, which stops the other one; and that is busy unpacking.
#include <belay/belay.hpp>

#include <ctime>
#include <stdexcept>

namespace {

belay::task<> download() {
    throw std::runtime_error("404");
    co_return;
}

belay::task<int> unpack() {
    int files = 0;
    for (const auto end = std::clock() + CLOCKS_PER_SEC / 2; std::clock() < end;) files = (files + 1) % 1000;
    co_return files;
}

belay::task<> install(belay::scope& s) {
    s.spawn(unpack);  // <- here
    s.spawn(download);  // runs first: of what was spawned the newest does
    co_return;
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    try {
        runtime.block_on(belay::with_scope({.name = "installation"}, install));
    } catch (const std::runtime_error&) {}
    return 0;
}
