// aborts "a runtime was destroyed by one of its own tasks"
// Tasks share the ownership of their runtime, and the last one to end destroys it.
#include <belay/belay.hpp>

#include <chrono>
#include <memory>
#include <thread>
#include <utility>

namespace {

belay::task<> background(std::shared_ptr<belay::runtime>) { co_await belay::sleep_for(std::chrono::milliseconds{5}); }

}  // namespace

int main() {
    auto runtime = std::make_shared<belay::runtime>(belay::runtime_options{.workers = 1});
    runtime->spawn(background, runtime);
    std::weak_ptr<belay::runtime> watched = runtime;
    runtime.reset();
    for (int i = 0; i < 500; ++i) std::this_thread::sleep_for(std::chrono::milliseconds{2});
    return watched.expired() ? 0 : 1;
}
