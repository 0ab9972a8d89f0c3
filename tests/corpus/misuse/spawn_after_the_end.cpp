// aborts "the scope is closed: it has been joined or its runtime has shut down"
// A last job comes in when the runtime has shut down. The exception says so, and nobody expects it.
#include <belay/belay.hpp>

#include <chrono>

namespace {

belay::task<> job() { co_return; }

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    (void)runtime.shutdown(std::chrono::seconds{1});
    runtime.spawn(job);
    return 0;
}
