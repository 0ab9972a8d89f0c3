// reports lost-error
// Of two requests that belong together both fail, each for a reason of its own.
#include <belay/belay.hpp>

#include <stdexcept>

namespace {

belay::task<int> load_user() {
    throw std::runtime_error("no such user");
    co_return 1;
}

belay::task<int> load_rights() {
    throw std::runtime_error("the directory does not answer");
    co_return 2;
}

belay::task<> log_in() {
    co_await belay::when_all(load_user(), load_rights());  // <- here
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    try {
        runtime.block_on(log_in);
    } catch (const std::runtime_error&) {}
    return 0;
}
