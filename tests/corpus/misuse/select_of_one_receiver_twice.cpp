// aborts "select() was given recv() of the same receiver twice"
// Of two receivers in a select one is written twice.
#include <belay/belay.hpp>

#include <chrono>

namespace {

belay::task<> program() {
    auto [commands, next_command] = belay::channel<int>(1);
    auto [events, next_event] = belay::channel<int>(1);
    (void)co_await belay::select(next_event.recv(), next_event.recv(), belay::sleep_for(std::chrono::milliseconds{10}));
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on(program);
    return 0;
}
