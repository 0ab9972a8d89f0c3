// aborts "run_for() was called inside a task of the same local_runtime"
// run_for() looks like a pause that keeps the window alive.
#include <belay/belay.hpp>

#include <chrono>

namespace {

belay::task<> fade_out(belay::local_runtime& window) {
    for (int step = 0; step < 3; ++step) window.run_for(std::chrono::milliseconds{1});
    co_return;
}

}  // namespace

int main() {
    belay::local_runtime window;
    window.run_until(fade_out(window));
    return 0;
}
