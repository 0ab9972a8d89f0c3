// aborts "two tasks join the same join_handle at once"
// Both parts of a page want the user, whom one task loads; both join it.
#include <belay/belay.hpp>

#include <chrono>
#include <functional>

namespace {

belay::task<int> load_user() {
    co_await belay::sleep_for(std::chrono::milliseconds{10});
    co_return 7;
}

belay::task<int> header(belay::join_handle<int>& user) { co_return co_await user.join(); }
belay::task<int> footer(belay::join_handle<int>& user) { co_return co_await user.join(); }

belay::task<> page(belay::scope& s) {
    auto user = s.spawn(load_user);
    co_await belay::when_all(header(user), footer(user));
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on(belay::with_scope(page));
    return 0;
}
