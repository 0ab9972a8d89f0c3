// reports guard-across-suspension
// Whoever gets the lock refreshes the token, and the others go on with the old one: a good idea with another kind of lock.
#include <belay/belay.hpp>

#include <chrono>
#include <string>

namespace {

belay::sync_mutex refreshing;
std::string token;

belay::task<std::string> log_in() {
    co_await belay::sleep_for(std::chrono::milliseconds{1});
    co_return "token";
}

belay::task<> refresh_token() {
    if (!refreshing.try_lock()) co_return;  // <- here
    token = co_await log_in();
    refreshing.unlock();
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on(refresh_token);
    return 0;
}
