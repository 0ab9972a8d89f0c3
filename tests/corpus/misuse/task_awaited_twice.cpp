// aborts "a task was awaited twice, or after it was moved from"
// The answer is wanted in two places, so its task is awaited in both.
#include <belay/belay.hpp>

#include <utility>

namespace {

belay::task<int> load_settings() { co_return 42; }

belay::task<int> program() {
    auto settings = load_settings();
    int colour = co_await std::move(settings);
    int size = co_await std::move(settings);  // as a std::shared_future would allow
    co_return colour + size;
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on(program);
    return 0;
}
