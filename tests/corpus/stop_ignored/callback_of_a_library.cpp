// reports stop-ignored
// policy stall=off,stop=log:20ms
// The reply of another library is awaited, and nobody tells that library that it is not wanted any more.
#include <belay/belay.hpp>

#include <chrono>
#include <coroutine>
#include <thread>

namespace {

/// Resumed by a thread of the library.
struct remote_call {
    static bool await_ready() noexcept { return false; }
    static void await_suspend(std::coroutine_handle<> caller) {
        std::thread{[caller] {
            std::this_thread::sleep_for(std::chrono::milliseconds{600});
            caller.resume();
        }}.detach();
    }
    static int await_resume() noexcept { return 7; }
};

belay::task<int> ask() {
    co_return co_await remote_call{};  // <- here
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 2}};
    runtime.block_on(belay::with_scope({.name = "calls"}, [](belay::scope& s) -> belay::task<> {
        s.spawn(ask);
        co_await belay::sleep_for(std::chrono::milliseconds{60});
        s.request_stop();
    }));
    return 0;
}
