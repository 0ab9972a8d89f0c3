// reports never-awaited
// A local coroutine is called like a function.
#include <belay/belay.hpp>

#include <string>

namespace {

belay::task<> write_log(std::string) { co_await belay::yield(); }

belay::task<int> handle(int request) {
    auto log = [request](std::string what) -> belay::task<> { co_await write_log(what + std::to_string(request)); };  // <- here
    co_await log("begin");
    auto end = log("end");
    co_return 200;
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on(handle(1));
    return 0;
}
