// reports guard-across-suspension
// needs guard
// The early return forgets to unlock. The task has ended then: what is named is where it was spawned.
#include <belay/belay.hpp>

#include <pthread.h>

namespace {

pthread_mutex_t ledger_lock = PTHREAD_MUTEX_INITIALIZER;
long ledger = 5;

belay::task<bool> withdraw(long amount) {
    ::pthread_mutex_lock(&ledger_lock);
    if (ledger < amount) co_return false;  // still locked
    ledger -= amount;
    ::pthread_mutex_unlock(&ledger_lock);
    co_return true;
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on(withdraw(10));  // <- here
    return 0;
}
