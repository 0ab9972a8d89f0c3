// expect: pass each operation of a select as a temporary, e.g. select(rx.recv(), sleep_for(1s)), or std::move it
#include <belay/belay.hpp>
using namespace std::chrono_literals;
belay::task<> wrong(belay::receiver<int>& messages) {
    auto next = messages.recv();
    (void)co_await belay::select(next, belay::sleep_for(1s));
}
