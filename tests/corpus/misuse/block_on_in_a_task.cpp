// aborts "block_on() was called on a worker"
// A plain function asks an asynchronous one by block_on(). That works, until a task calls the plain function.
#include <belay/belay.hpp>

#include <string>

namespace {

belay::task<std::string> load(std::string key) { co_return "value of " + key; }

std::string get(belay::runtime& in, const std::string& key) { return in.block_on(load(key)); }

belay::task<std::string> handle(belay::runtime& in) { co_return get(in, "user"); }

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 2}};
    runtime.block_on(handle(runtime));
    return 0;
}
