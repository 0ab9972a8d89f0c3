// aborts "run_until() of a local_runtime was called on a worker of another runtime"
// A synchronous library runs its own local_runtime inside, and is called from a task.
#include <belay/belay.hpp>

namespace {

belay::task<int> request() { co_return 200; }

int fetch() {
    belay::local_runtime inside;
    return inside.run_until(request);
}

belay::task<int> handle() { co_return fetch(); }

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on(handle);
    return 0;
}
