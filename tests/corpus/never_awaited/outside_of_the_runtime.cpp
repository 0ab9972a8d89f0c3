// reports never-awaited
// main() calls a coroutine and has no runtime yet, nor ever.
#include <belay/belay.hpp>

#include <string>

namespace {

belay::task<int> run(std::string) { co_return 0; }  // <- here

}  // namespace

int main() {
    auto program = run("serve");
    return 0;
}
