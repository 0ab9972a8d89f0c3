// expect: pass the operation as a temporary
#include <belay/belay.hpp>
using namespace std::chrono_literals;
belay::task<> wrong(belay::receiver<int>& messages) {
    auto next = messages.recv();
    co_await belay::when_any(next, belay::sleep_for(1s));
}
