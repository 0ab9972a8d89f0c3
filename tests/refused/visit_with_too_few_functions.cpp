// expect: visit() takes one function for each operation of the select, in their order
#include <belay/belay.hpp>
using namespace std::chrono_literals;
belay::task<> wrong(belay::receiver<int>& messages) {
    (co_await belay::select(messages.recv(), belay::sleep_for(1s))).visit([](std::optional<int>) {});
}
