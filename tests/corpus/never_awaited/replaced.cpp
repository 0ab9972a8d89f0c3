// reports never-awaited
// The pending write is replaced by a newer one; nothing of the older one happens.
#include <belay/belay.hpp>

#include <utility>

namespace {

belay::task<> write(int) { co_await belay::yield(); }  // <- here

belay::task<> autosave() {
    auto pending = write(0);
    for (int version = 1; version < 3; ++version) pending = write(version);
    co_await std::move(pending);
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on(autosave);
    return 0;
}
