// reports guard-across-suspension
// needs guard
// Both accounts are locked, in the right order, and then the bank is asked.
#include <belay/belay.hpp>

#include <mutex>

namespace {

struct account {
    std::mutex mutex;
    long balance = 100;
};

belay::task<bool> approved(long) {
    co_await belay::yield();
    co_return true;
}

belay::task<> transfer(account& from, account& to, long amount) {
    std::scoped_lock both{from.mutex, to.mutex};
    if (!co_await approved(amount)) co_return;  // <- here
    from.balance -= amount;
    to.balance += amount;
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    account alice;
    account bob;
    runtime.block_on(transfer(alice, bob, 10));
    return 0;
}
