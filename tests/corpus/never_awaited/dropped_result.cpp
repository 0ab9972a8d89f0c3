// reports never-awaited
// The compiler warns of a task that is dropped. The cast silences it, as it did when the function returned a status.
#include <belay/belay.hpp>

#include <string>

namespace {

belay::task<bool> save(std::string) { co_return true; }  // <- here

belay::task<> edit() {
    co_await belay::yield();
    (void)save("draft");
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on(edit);
    return 0;
}
