// reports lost-error
// Two mirrors are asked at once and neither has the file: when_any throws the first error only.
#include <belay/belay.hpp>

#include <stdexcept>
#include <string>

namespace {

belay::task<std::string> ask(std::string mirror) {
    throw std::runtime_error(mirror + ": 404");
    co_return "";
}

belay::task<> fetch() {
    co_await belay::when_any(ask("north"), ask("south"));  // <- here
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    try {
        runtime.block_on(fetch);
    } catch (const std::runtime_error&) {}
    return 0;
}
