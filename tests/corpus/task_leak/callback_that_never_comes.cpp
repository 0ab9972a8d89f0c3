// reports task-leak
// A library that was closed forgets whom it had to call back. Who awaits it is never resumed.
#include <belay/belay.hpp>

#include <chrono>
#include <coroutine>

namespace {

struct forgotten_request {
    static bool await_ready() noexcept { return false; }
    static void await_suspend(std::coroutine_handle<>) noexcept {}
    static void await_resume() noexcept {}
};

belay::task<> ask() {
    co_await forgotten_request{};  // <- here
}

belay::task<> session() { co_await ask(); }

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    auto asking = runtime.spawn(session);
    runtime.block_on(belay::as_task(belay::sleep_for(std::chrono::milliseconds{60})));
    (void)runtime.shutdown(std::chrono::milliseconds{5});
    return 0;
}
