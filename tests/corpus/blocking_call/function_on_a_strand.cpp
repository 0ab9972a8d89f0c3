// reports blocking-call
// needs guard
// policy stall=off
// A strand makes the accesses to a device one after the other. It does not move them to another thread.
#include <belay/belay.hpp>

#include <chrono>
#include <thread>

namespace {

void move_arm(int) { std::this_thread::sleep_for(std::chrono::milliseconds{10}); }

belay::task<> pick(belay::strand& robot, int from, int to) {
    co_await robot.run([&] { move_arm(from); });  // <- here
    co_await robot.run([&] { move_arm(to); });
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    belay::strand robot;
    runtime.block_on(pick(robot, 1, 2));
    return 0;
}
