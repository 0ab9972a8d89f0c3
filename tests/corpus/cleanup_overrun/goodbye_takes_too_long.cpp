// reports cleanup-overrun
// The cleanup waits for the peer's answer, and the peer has gone.
#include <belay/belay.hpp>

#include <chrono>

namespace {

using namespace std::chrono_literals;

belay::task<> talk() { co_await belay::yield(); }
belay::task<> say_goodbye() { co_await belay::sleep_for(1h); }

belay::task<> session() {
    co_await belay::finally(talk(), say_goodbye, 20ms);  // <- here
}

}  // namespace

int main() {
    belay::runtime runtime;
    runtime.block_on(session());
    return 0;
}
