// reports guard-across-suspension
// needs guard
// A lock of C11's threads.h around a call that became asynchronous.
#include <belay/belay.hpp>

#include <threads.h>

namespace {

mtx_t serial_port;

belay::task<int> exchange(int command) {
    co_await belay::yield();
    co_return command + 1;
}

belay::task<int> ask_the_device(int command) {
    ::mtx_lock(&serial_port);
    int answer = co_await exchange(command);  // <- here
    ::mtx_unlock(&serial_port);
    co_return answer;
}

}  // namespace

int main() {
    ::mtx_init(&serial_port, mtx_plain);
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on(ask_the_device(1));
    return 0;
}
