// reports never-awaited
// The tasks are collected in a vector, and the one who was to await them all was deleted with the last change.
#include <belay/belay.hpp>

#include <vector>

namespace {

belay::task<> notify(int) { co_await belay::yield(); }  // <- here

belay::task<int> notify_all(int members) {
    std::vector<belay::task<>> all;
    for (int i = 0; i < members; ++i) all.push_back(notify(i));
    co_return static_cast<int>(all.size());
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on(notify_all(3));
    return 0;
}
