// reports guard-across-suspension
// needs guard
// The configuration is a C module with a pthread_rwlock_t; its reload awaits in the middle of the critical section.
#include <belay/belay.hpp>

#include <pthread.h>

#include <chrono>

namespace {

pthread_rwlock_t config_lock = PTHREAD_RWLOCK_INITIALIZER;
int config_version = 1;

belay::task<int> read_config() {
    co_await belay::sleep_for(std::chrono::milliseconds{1});
    co_return 2;
}

belay::task<> reload() {
    ::pthread_rwlock_wrlock(&config_lock);
    config_version = co_await read_config();  // <- here
    ::pthread_rwlock_unlock(&config_lock);
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on(reload);
    return 0;
}
