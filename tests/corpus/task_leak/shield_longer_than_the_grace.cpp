// reports task-leak
// A minute is granted to the last words, five milliseconds to the shutdown; and the last words are somebody else's.
#include <belay/belay.hpp>

#include <chrono>
#include <thread>

namespace {

belay::task<> say_goodbye() {
    co_await belay::spawn_blocking([] { std::this_thread::sleep_for(std::chrono::milliseconds{600}); });
}

belay::task<> session() {
    co_await belay::shield(say_goodbye(), std::chrono::minutes{1});  // <- here
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    runtime.spawn(session);
    runtime.block_on(belay::as_task(belay::sleep_for(std::chrono::milliseconds{60})));
    (void)runtime.shutdown(std::chrono::milliseconds{5});
    return 0;
}
