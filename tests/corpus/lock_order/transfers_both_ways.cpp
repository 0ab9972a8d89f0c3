// reports lock-order
// Two transfers in opposite directions, which have never met yet.
#include <belay/belay.hpp>

namespace {

struct account {
    belay::mutex lock;
    long balance = 100;
};

belay::task<> transfer(account* from, account* to) {
    auto debit = co_await from->lock.lock();
    auto credit = co_await to->lock.lock();  // <- here
    --from->balance;
    ++to->balance;
}

}  // namespace

int main() {
    belay::runtime runtime;
    account a;
    account b;
    runtime.block_on(transfer(&a, &b));
    runtime.block_on(transfer(&b, &a));
    return 0;
}
