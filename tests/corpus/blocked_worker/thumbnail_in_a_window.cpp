// reports blocked-worker
// policy stall=log:20ms
// In a local_runtime the worker is the thread of the window, which does not move while a picture is scaled.
#include <belay/belay.hpp>

#include <ctime>
#include <vector>

namespace {

belay::task<std::vector<unsigned>> thumbnail(std::vector<unsigned> pixels) {
    for (const auto end = std::clock() + CLOCKS_PER_SEC / 2; std::clock() < end;)
        for (std::size_t i = 1; i < pixels.size(); ++i) pixels[i] = (pixels[i - 1] + pixels[i]) / 2;
    co_return pixels;
}

}  // namespace

int main() {
    belay::local_runtime window;
    window.run_until(thumbnail(std::vector<unsigned>(4096, 255)));  // <- here
    return 0;
}
