// aborts "shutdown() waits for tasks and was called on a worker"
// A request to end the server is served by ending the runtime, inside it.
#include <belay/belay.hpp>

#include <chrono>
#include <functional>

namespace {

belay::task<> quit(belay::runtime& server) {
    co_await belay::yield();
    (void)server.shutdown(std::chrono::milliseconds{10});
}

}  // namespace

int main() {
    belay::runtime server{{.workers = 2}};
    server.block_on(quit(server));
    return 0;
}
