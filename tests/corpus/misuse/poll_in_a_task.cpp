// aborts "poll() was called inside a task of the same local_runtime"
// A handler pumps the loop until its answer is there, as one did with windows.
#include <belay/belay.hpp>

#include <functional>

namespace {

belay::task<> ask() { co_await belay::yield(); }

belay::task<> on_click(belay::local_runtime& window) {
    auto asking = window.spawn(ask);
    while (!asking.ended()) window.poll();
    co_return;
}

}  // namespace

int main() {
    belay::local_runtime window;
    window.run_until(on_click(window));
    return 0;
}
