// aborts "when_any of an empty range"
// The fastest mirror is asked for, and the list of mirrors is empty.
#include <belay/belay.hpp>

#include <string>
#include <utility>
#include <vector>

namespace {

belay::task<int> ask(std::string) { co_return 1; }

belay::task<> fetch(std::vector<std::string> mirrors) {
    std::vector<belay::task<int>> asked;
    for (auto& mirror : mirrors) asked.push_back(ask(mirror));
    co_await belay::when_any(std::move(asked));
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on(fetch({}));
    return 0;
}
