// reports guard-across-suspension
// needs guard
// no line: the task has ended, and its places are gone with it
// The early return forgets to unlock.
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
    runtime.block_on(withdraw(10));
    return 0;
}
